"""The email channel: hands a notification to an SMTP relay, and says what became of it."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from tidings.channels.email import addresses, checkup
from tidings.channels.email.connection import Progress, Receipt
from tidings.channels.email.discretion import discreet
from tidings.channels.email.message import Mail, compose
from tidings.channels.email.pool import Pool
from tidings.channels.email.relay import Relay
from tidings.channels.email.replies import Stage
from tidings.channels.email.troubles import TROUBLES, explain
from tidings.channels.overtime import Overtime
from tidings.delivery.errors import DeliveryError
from tidings.delivery.outcome import Sent
from tidings.delivery.ports import Content, Finding, SendRequest, TemplateParts
from tidings.settings import EmailSettings

_REQUIRED: Final[Mapping[str, str]] = MappingProxyType({"subject": "subject", "text": "text"})
_OPTIONAL: Final[Mapping[str, str]] = MappingProxyType({"html": "html"})

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

    name = "email"
    template_parts = TemplateParts(required=_REQUIRED, optional=_OPTIONAL)

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

        Where the relay takes the mail for its recipient but refuses some of the copies (cc, bcc),
        it is sent, and `Sent.code` says how many were refused: `250, 1 of 3 copies refused`.
        """
        mail = compose(request, self._sender, datetime.now(UTC))
        progress = Progress()
        try:
            receipt = await self._overtime.within(
                request.timeout,
                self._pool.carry(mail, progress),
            )
        except TROUBLES as trouble:
            raise self._error(trouble, progress.stage, mail, request.content) from None
        return self._sent(receipt)

    async def check(self) -> Sequence[Finding]:
        """Connect, encrypt, log in, and ask whether our sender is welcome."""
        return await checkup.check(self._relay, self._settings, self._sender)

    async def close(self) -> None:
        """Take leave of the relay."""
        await self._pool.close()

    def _sent(self, receipt: Receipt) -> Sent:
        code = str(receipt.reply.code)
        if receipt.refused:
            code += f", {receipt.refused} of {receipt.copies} copies refused"
        return Sent(self._relay.provider, reference(receipt.reply.text), code)

    def _error(
        self, trouble: Exception, stage: Stage, mail: Mail, content: Content
    ) -> DeliveryError:
        told = (mail.envelope.recipient, *mail.envelope.copies)
        found = explain(
            trouble,
            stage,
            lambda text: discreet(text, told, content),
            override=mail.envelope.override,
        )
        return found.reading.error(found.sentence, provider=self._relay.provider, code=found.codes)


def reference(text: str) -> str:
    """The relay's own name for a mail it has taken; empty where it gave none."""
    found = _REFERENCE.search(text)
    return next(filter(None, found.groups()), "")[:200] if found else ""
