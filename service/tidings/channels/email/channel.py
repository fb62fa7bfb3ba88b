"""The email channel: hands a notification to an SMTP relay, and reports the outcome."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from tidings.channels.email import addresses, relay_check
from tidings.channels.email.addresses import deliverable
from tidings.channels.email.connection import MailProgress
from tidings.channels.email.failures import FAILURES, explain
from tidings.channels.email.message import Mail, compose
from tidings.channels.email.multi_recipient import MultiRecipientSend
from tidings.channels.email.pool import Pool
from tidings.channels.email.redaction import redact, redact_addresses
from tidings.channels.email.relay import Relay
from tidings.channels.email.replies import SmtpReply
from tidings.channels.email.settings import EmailSettings
from tidings.channels.email.spec import SPEC
from tidings.delivery.errors import DeliveryError, Misconfigured, Rejected
from tidings.delivery.outcome import Sent
from tidings.delivery.ports import Finding, SendRequest
from tidings.delivery.recipients import RecipientResult, RecipientState, roles
from tidings.runtime.deadlines import Deadlines

_LOOK: Final = 0.1
"""Seconds by which a timeout may be late."""

# The queue ids of Postfix, Exim, Exchange, Sendmail and Amazon SES.
_REFERENCE = re.compile(
    r"queued as <?([!-;=?-~]+)|\bid=<?([!-;=?-~]+)|InternalId=(\d+)"
    r"|(\S+) message accepted for delivery|^ok ([\w-]{20,})$",
    re.IGNORECASE,
)


class EmailChannel:
    """Email through one SMTP relay, over a pool of connections.

    Raises:
        ConfigurationError: The sender is missing or not an address, or a file can't be read.
    """

    name = SPEC.name
    template_parts = SPEC.template_parts

    def __init__(self, settings: EmailSettings) -> None:
        self._settings = settings
        self._sender = addresses.sender(settings.sender)
        self._relay = Relay(settings)
        self._overtime = Deadlines(look=_LOOK)
        self._pool = Pool(
            self._relay.open, size=settings.connections, mails=settings.messages_per_connection
        )

    async def send(self, request: SendRequest) -> Sent:
        """Hand the mail over, once.

        If the relay accepts the recipient and refuses some copies (cc, bcc), the mail counts as sent, and
        `Sent.recipients` has the result of each.
        """
        mails = compose(request, self._sender, datetime.now(UTC))
        if request.recipients or len(mails) > 1 or mails[0].envelope.copies:
            return await self._send_to_several(mails, request)
        [mail], progress = mails, MailProgress()
        try:
            reply = await self._overtime.within(request.timeout, self._pool.carry(mail, progress))
        except FAILURES as error:
            raise self._error(error, progress, request) from None
        return Sent(self._relay.provider, reference(reply.text), str(reply.code))

    async def _send_to_several(self, mails: Sequence[Mail], request: SendRequest) -> Sent:
        if not mails:  # an edited dead letter whose copies were all removed
            return Sent(self._relay.provider)

        def explain(error: Exception, progress: MailProgress) -> DeliveryError:
            return self._error(error, progress, request)

        sending = MultiRecipientSend(mails, self._pool, explain)
        try:
            await self._overtime.within(request.timeout, sending.run())
        except FAILURES as error:
            if not sending.settled:
                raise explain(error, sending.progress) from None
            sending.give_up(error)
        reply = sending.accepted_reply or SmtpReply(0, "")
        results = tuple(_results(request, sending.results))
        all_sent = not request.recipients and all(result.kind == "" for result in results)
        return Sent(
            self._relay.provider,
            reference(reply.text),
            str(reply.code or ""),
            recipients=() if all_sent else results,
        )

    async def check(self) -> Sequence[Finding]:
        """Connect, encrypt, log in, and test whether the relay accepts our sender."""
        return await relay_check.check(self._relay, self._settings, self._sender)

    async def close(self) -> None:
        """Close all connections with QUIT."""
        await self._pool.close()

    def _error(
        self, error: Exception, progress: MailProgress, request: SendRequest
    ) -> DeliveryError:
        recipients = [deliverable(address) for address in roles(request.notification)]
        found = explain(
            error,
            progress.stage,
            lambda text: redact(text, recipients, request.content),
            redact_addresses=lambda text: redact_addresses(text, recipients),
            override=getattr(request.notification, "from_address", None) is not None,
            relaying=progress.relaying,
        )
        diagnosis, provider = found.diagnosis, self._relay.provider
        if diagnosis.doubtful:
            return Misconfigured(found.sentence, provider=provider, code=found.codes, doubtful=True)
        if diagnosis.suppress is not None:
            return Rejected(
                found.sentence, provider=provider, code=found.codes, suppress=diagnosis.suppress
            )
        return diagnosis.error(found.sentence, provider=provider, code=found.codes)


def _results(
    request: SendRequest, errors: Mapping[str, DeliveryError | None]
) -> Iterator[RecipientResult]:
    """The result of each recipient of this attempt, under its address in the notification."""
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
    """The relay's queue id of a mail that it accepted; empty if it gave none."""
    found = _REFERENCE.search(text)
    return next(filter(None, found.groups()), "")[:200] if found else ""
