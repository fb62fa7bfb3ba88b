"""The email channel: hands a notification to an SMTP relay, and says what became of it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from tidings.channels.email import addresses, relay_check
from tidings.channels.email.addresses import deliverable
from tidings.channels.email.connection import Progress
from tidings.channels.email.failures import TROUBLES, explain
from tidings.channels.email.message import Mail, compose
from tidings.channels.email.multi_recipient import Mailing
from tidings.channels.email.pool import Pool
from tidings.channels.email.redaction import addressless, discreet
from tidings.channels.email.relay import Relay
from tidings.channels.email.replies import Reply
from tidings.channels.email.settings import EmailSettings
from tidings.channels.email.spec import SPEC
from tidings.delivery.errors import DeliveryError, Misconfigured, Rejected
from tidings.delivery.outcome import Sent
from tidings.delivery.ports import Finding, SendRequest
from tidings.delivery.recipients import RecipientResult, RecipientState, roles
from tidings.runtime.deadlines import Overtime

_LOOK: Final = 0.1
"""Seconds by which a mail may be given up late."""

# How Postfix, Exim, Exchange, Sendmail and Amazon SES name what they have taken.
_REFERENCE = re.compile(
    r"queued as <?([!-;=?-~]+)|\bid=<?([!-;=?-~]+)|InternalId=(\d+)"
    r"|(\S+) message accepted for delivery|^ok ([\w-]{20,})$",
    re.IGNORECASE,
)


class EmailChannel:
    """Email through one SMTP relay, over a few connections that are kept.

    Raises:
        ConfigurationError: The sender is missing or no address, or a file can't be read.
    """

    name = SPEC.name
    template_parts = SPEC.template_parts

    def __init__(self, settings: EmailSettings) -> None:
        self._settings = settings
        self._sender = addresses.sender(settings.sender)
        self._relay = Relay(settings)
        self._overtime = Overtime(look=_LOOK)
        self._pool = Pool(
            self._relay.open, size=settings.connections, mails=settings.messages_per_connection
        )

    async def send(self, request: SendRequest) -> Sent:
        """Hand the mail over, once.

        Where the relay takes the mail for its recipient and not for all copies (cc, bcc), it is sent, and
        `Sent.recipients` says what became of each.
        """
        mails = compose(request, self._sender, datetime.now(UTC))
        if request.recipients or len(mails) > 1 or mails[0].envelope.copies:
            return await self._send_to_several(mails, request)
        [mail], progress = mails, Progress()
        try:
            reply = await self._overtime.within(request.timeout, self._pool.carry(mail, progress))
        except TROUBLES as trouble:
            raise self._error(trouble, progress, request) from None
        return Sent(self._relay.provider, reference(reply.text), str(reply.code))

    async def _send_to_several(self, mails: Sequence[Mail], request: SendRequest) -> Sent:
        if not mails:  # a dead letter whose copies were all taken out
            return Sent(self._relay.provider)

        def explain(trouble: Exception, progress: Progress) -> DeliveryError:
            return self._error(trouble, progress, request)

        mailing = Mailing(mails, self._pool, explain)
        try:
            await self._overtime.within(request.timeout, mailing.run())
        except TROUBLES as trouble:
            if not mailing.begun:
                raise explain(trouble, mailing.progress) from None
            mailing.give_up(trouble)
        reply = mailing.taken or Reply(0, "")
        results = tuple(_results(request, mailing.results))
        alike = not request.recipients and all(one.kind == "" for one in results)
        return Sent(
            self._relay.provider,
            reference(reply.text),
            str(reply.code or ""),
            recipients=() if alike else results,
        )

    async def check(self) -> Sequence[Finding]:
        """Connect, encrypt, log in, and ask whether our sender is welcome."""
        return await relay_check.check(self._relay, self._settings, self._sender)

    async def close(self) -> None:
        """Take leave of the relay."""
        await self._pool.close()

    def _error(self, trouble: Exception, progress: Progress, request: SendRequest) -> DeliveryError:
        told = [deliverable(address) for address in roles(request.notification)]
        found = explain(
            trouble,
            progress.stage,
            lambda text: discreet(text, told, request.content),
            hide=lambda text: addressless(text, told),
            override=getattr(request.notification, "from_address", None) is not None,
            welcome=progress.welcome,
        )
        reading, provider = found.reading, self._relay.provider
        if reading.doubtful:
            return Misconfigured(found.sentence, provider=provider, code=found.codes, doubtful=True)
        if reading.suppress is not None:
            return Rejected(
                found.sentence, provider=provider, code=found.codes, suppress=reading.suppress
            )
        return reading.error(found.sentence, provider=provider, code=found.codes)


def _results(
    request: SendRequest, errors: Mapping[str, DeliveryError | None]
) -> Iterator[RecipientResult]:
    """What became of each who was asked for, under the address that the notification has."""
    for address, role in roles(request.notification).items():
        wire = deliverable(address)
        if wire not in errors:
            continue
        match errors[wire]:
            case None:
                yield RecipientResult(address, role, RecipientState.SENT)
            case error:
                refused = isinstance(error, Rejected)
                state = RecipientState.REFUSED if refused else RecipientState.DEFERRED
                yield RecipientResult(address, role, state, error.kind, error.code, error.message)


def reference(text: str) -> str:
    """The relay's own name for a mail it has taken; empty where it gave none."""
    found = _REFERENCE.search(text)
    return next(filter(None, found.groups()), "")[:200] if found else ""
