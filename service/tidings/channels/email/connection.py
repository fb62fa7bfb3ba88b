"""One connection to a relay: sends one mail at a time, and knows whether it can be reused.

It does not use aiosmtplib's `sendmail`, which does not distinguish a connection lost before the final
dot from one lost after it, and on closing still flushes its write buffer: a mail reported as unsent
could arrive after all.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from time import monotonic
from typing import Final

import structlog
from aiosmtplib import SMTPException, SMTPServerDisconnected

from tidings.channels.email import connection_limits
from tidings.channels.email.bodies import Payload
from tidings.channels.email.connection_limits import (
    CLOSING,
    REFUSALS,
    ClosedByRelay,
    NegativeReply,
    StaleConnection,
    TooManyConnections,
)
from tidings.channels.email.conversation import Conversation, MalformedReply
from tidings.channels.email.message import Envelope, Mail
from tidings.channels.email.redaction import redact_addresses
from tidings.channels.email.relaying import SessionRelaying
from tidings.channels.email.replies import RelayingState, SmtpReply, Stage

log = structlog.get_logger(__name__)

_CHUNK: Final = 65_536
"""Payloads up to this many bytes are written in one go with their final dot."""
QUIT_TIMEOUT: Final = 2.0
"""Seconds that a relay has to reach a point at which QUIT is allowed, and to reply to it."""
_PIPELINED_TIMEOUT: Final = 5.0
"""Seconds between the first and the second reply to pipelined commands, on a connection that never
answered pipelined commands before: a relay that drops the input behind a command stays silent."""
_PIPELINED_STAGES: Final = frozenset({Stage.RECIPIENT, Stage.DATA})
"""Stages at which the reply is to a pipelined command."""
_DISTRUST_PERIOD: Final = 600.0
"""Seconds without pipelining after such silence; the relay may just have been slow."""
_START_MAIL_INPUT: Final = 354
_DATA: Final = b"DATA"
_INTERNATIONAL: Final = "smtputf8"
EXTENSIONS: Final = ("size", _INTERNATIONAL, "pipelining")
"""SMTP extensions that are used."""
_NOT_OFFERED: Final = SmtpReply(550, "5.6.7 SMTPUTF8 is not offered")


class Pipelining:
    """Whether the commands of a mail are pipelined to a relay that offers it (RFC 2920)."""

    def __init__(self, *, wanted: bool) -> None:
        self._since = 0.0 if wanted else inf

    @property
    def trusted(self) -> bool:
        """Whether pipelining is used."""
        return monotonic() >= self._since

    def distrust(self, reason: str, seconds: float = inf) -> None:
        """Stop pipelining, for good or for some seconds: the relay seems not to support what it offers."""
        if self.trusted:
            self._since = monotonic() + seconds
            log.warning(
                "pipelining disabled: the relay offers it but does not support it",
                reason=reason,
                remedy="if it happens again, set TIDINGS_EMAIL_PIPELINING=false",
            )


@dataclass(slots=True)
class MailProgress:
    """How far a mail has come."""

    stage: Stage = Stage.WAITING
    replies: dict[str, SmtpReply] = field(default_factory=dict)
    """The reply to each RCPT TO."""
    relaying: RelayingState = RelayingState.UNCONFIRMED
    """Whether the relay relays for us, as far as was known then."""


class SmtpConnection:
    """A connection that is open, greeted, encrypted and logged in.

    Args:
        offers: Extensions that the relay offers, those of `EXTENSIONS` only, in lower case.
        pipelining: Whether commands may be pipelined; shared by the relay's connections.
        login: Records whether the relay accepts recipients in this session.

    Raises:
        SMTPServerDisconnected: It is lost already.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        offers: frozenset[str],
        pipelining: Pipelining,
        login: SessionRelaying,
        *,
        now: float,
    ) -> None:
        self._transport = transport
        self._conversation = Conversation(transport)
        if not self._conversation.alive:
            raise SMTPServerDisconnected("Connection lost")
        self._offers = offers
        self._pipelining = pipelining
        self._login = login
        self._pipelined = False
        """Whether the commands of the current mail were pipelined."""
        self._pipelining_works = False
        """Whether pipelined commands were all answered at least once."""
        self._in_sync = True
        self._open = False
        self._in_data = False
        """Whether the relay reads all input as mail data."""
        self._sender_accepted = False
        """Whether the relay accepted our sender at least once."""
        self._refused = 0
        """Mails and copies refused in a row."""
        self.mails = 0
        self.last_used = now

    @property
    def reusable(self) -> bool:
        """Whether another mail may be sent over it: alive, and the last mail is complete."""
        return self._in_sync and self._conversation.alive

    @property
    def alive(self) -> bool:
        """Whether neither end has closed it."""
        return self._conversation.alive

    @property
    def may_quit(self) -> bool:
        """Whether QUIT is allowed, once all outstanding replies have come."""
        return self._conversation.alive and not self._in_data

    @property
    def often_refused(self) -> bool:
        """Whether so many mails in a row were refused that the relay may slow the connection down."""
        return self._refused >= REFUSALS

    async def carry(self, mail: Mail, progress: MailProgress) -> SmtpReply:
        """Send a mail and return the relay's reply to its data.

        `progress.replies` has the recipients it was accepted for: after several refused copies, no RCPT TO
        is sent for the rest.

        Raises:
            NegativeReply: The relay refused the mail, its sender, its recipient, or all recipients.
            StaleConnection: This connection was unusable and nothing was sent; a new one may work.
            TooManyConnections: The relay wants fewer connections from us, and accepted nothing.
            SMTPException, OSError, MalformedReply: The connection failed, at `progress.stage`.
        """
        reused, sender_accepted = (
            self.mails > 0,
            self._sender_accepted and not mail.envelope.override,
        )
        self.mails += 1
        try:
            reply = await self._carry(mail, progress)
            self._login.accepted(_taken(progress))
        except ClosedByRelay as closed:
            raise self._classify(
                closed, closed.reply, mail, progress, reused=reused, sender_accepted=sender_accepted
            ) from None
        except (SMTPServerDisconnected, ConnectionError) as lost:
            stale = reused and progress.stage < Stage.PAYLOAD
            raise (StaleConnection() if stale else lost) from None
        except NegativeReply as refusal:
            self._refused += max(1, _refusals(progress))
            if self._record_refusal(refusal.reply, mail, progress):
                raise StaleConnection from None
            raise self._classify(
                refusal,
                refusal.reply,
                mail,
                progress,
                reused=reused,
                sender_accepted=sender_accepted,
            ) from None
        finally:
            progress.relaying = self._login.relaying
        self._refused = _refusals(progress) if mail.envelope.copies else 0
        return reply

    def _record_refusal(self, reply: SmtpReply, mail: Mail, progress: MailProgress) -> bool:
        """Learn from a refusal; whether it counts only if a new session gets it too."""
        if taken := _taken(progress):
            self._login.accepted(taken)
            return False
        return self._login.refused(progress.stage, reply, mail.envelope.everyone)

    def _classify(
        self,
        error: Exception,
        original: SmtpReply,
        mail: Mail,
        progress: MailProgress,
        *,
        reused: bool,
        sender_accepted: bool,
    ) -> Exception:
        """Whether a refusal concerns this connection, the number of connections, or the mail."""
        stage = progress.stage
        # A word in an address could match a rule.
        reply = SmtpReply(original.code, redact_addresses(original.text, mail.envelope.everyone))
        if connection_limits.too_many_connections(stage, reply):
            return TooManyConnections(error)
        if (
            self._pipelined
            and stage in _PIPELINED_STAGES
            and connection_limits.pipelining_failed(reply)
        ):
            self._pipelining.distrust(reply.codes)
            return StaleConnection()
        return (
            StaleConnection()
            if reused and connection_limits.worn_out(stage, reply, own_sender=sender_accepted)
            else error
        )

    async def _carry(self, mail: Mail, progress: MailProgress) -> SmtpReply:
        progress.stage = Stage.SENDER
        progress.replies.clear()
        everyone = mail.envelope.everyone
        batch, remaining = everyone[:REFUSALS], everyone[REFUSALS:]
        await self._begin(mail, *_commands(batch, remaining))
        progress.stage = Stage.RECIPIENT
        await self._rcpt_to(mail, batch, progress)
        while remaining and (room := REFUSALS - _refusals(progress)) > 0:
            batch, remaining = remaining[:room], remaining[room:]
            if self._pipelined:
                self._conversation.send_commands(*_commands(batch, remaining))
            await self._rcpt_to(mail, batch, progress)
        if not mail.envelope.recipient:
            self._require_positive(_best(progress))
        progress.stage = Stage.DATA
        await self._begin_payload(sent=self._pipelined and not remaining)
        return await self._hand_over(mail.payload, progress)

    async def test_sender(self, sender: str, progress: MailProgress) -> None:
        """Test whether the relay accepts mail from this address to itself, without sending any.

        Postfix refuses a client, its HELO name or its sender only at RCPT TO (`smtpd_delay_reject`).
        """
        wire = Envelope(sender, sender, (), override=False, international=not sender.isascii())
        nothing = Mail(wire, b"")
        progress.stage = Stage.SENDER
        await self._begin(nothing)
        progress.stage = Stage.RECIPIENT
        self._pipelined = False
        self._require_positive(await self._command(_recipient(sender)))
        await self._reset()

    async def quit(self) -> None:
        """Send QUIT if it is allowed, and close."""
        if not self.may_quit:
            self.abort()
            return
        try:
            with suppress(SMTPException, OSError, TimeoutError, MalformedReply, StaleConnection):
                async with asyncio.timeout(QUIT_TIMEOUT):
                    await self._drain_replies()
                    await self._command(b"QUIT")
        finally:
            self.abort()
        await asyncio.sleep(0)  # the loop closes the socket on its next turn

    def abort(self) -> None:
        """Close at once and discard the write buffer."""
        self._in_sync = False
        self._transport.abort()

    async def _begin(self, mail: Mail, *more: bytes) -> None:
        """Send MAIL FROM, and the following commands with it if they are pipelined (RFC 2920)."""
        origin = self._mail_from(mail)
        await self._reset()
        self._pipelined = self._pipelines and bool(more)
        self._in_sync = False
        self._conversation.send_commands(origin, *(more if self._pipelined else ()))
        self._require_positive(await self._conversation.reply())
        self._open = True
        self._sender_accepted = self._sender_accepted or not mail.envelope.override

    async def _reset(self) -> None:
        """End the last mail's transaction if it is incomplete."""
        await self._drain_replies()
        if not self._open:
            return
        if not (await self._command(b"RSET")).positive:
            raise StaleConnection
        self._open, self._in_sync = False, True

    async def _drain_replies(self) -> None:
        """Read the outstanding replies of a mail that was refused before the last of them."""
        if not self._conversation.outstanding:
            return
        self._in_sync = False
        try:
            while self._conversation.outstanding:
                if (
                    await self._conversation.reply()
                ).code == _START_MAIL_INPUT:  # it expects that mail's data
                    self._in_data = True
                    raise StaleConnection
        except MalformedReply:
            raise StaleConnection from None

    def _mail_from(self, mail: Mail) -> bytes:
        """MAIL FROM with its parameters (RFC 1870, RFC 6531)."""
        command = f"MAIL FROM:<{mail.envelope.sender}>".encode()
        if "size" in self._offers:
            command += b" SIZE=%d" % len(mail.payload)
        if mail.envelope.international:
            if _INTERNATIONAL not in self._offers:
                raise NegativeReply(_NOT_OFFERED)
            command += b" BODY=8BITMIME SMTPUTF8"
        return command

    async def _rcpt_to(self, mail: Mail, batch: Sequence[str], progress: MailProgress) -> None:
        """Send RCPT TO for some recipients; the notification's own recipient must be accepted."""
        for address in batch:
            reply = await (
                self._next_pipelined() if self._pipelined else self._command(_recipient(address))
            )
            progress.replies[address] = reply
            if address == mail.envelope.recipient or reply.code == CLOSING:
                self._require_positive(reply)

    async def _next_pipelined(self) -> SmtpReply:
        """The next reply to a pipelined command."""
        if self._pipelining_works:
            return await self._conversation.reply()
        try:
            async with asyncio.timeout(_PIPELINED_TIMEOUT):
                reply = await self._conversation.reply()
        except TimeoutError:
            self._pipelining.distrust(f"no reply within {_PIPELINED_TIMEOUT:g}s", _DISTRUST_PERIOD)
            raise StaleConnection from None
        self._pipelining_works = True
        return reply

    async def _begin_payload(self, *, sent: bool) -> None:
        """Send DATA, unless it was pipelined, and read the reply."""
        reply = await (self._conversation.reply() if sent else self._command(_DATA))
        if reply.code != _START_MAIL_INPUT:
            raise self._refusal(reply)
        self._in_data = True

    async def _hand_over(self, payload: Payload, progress: MailProgress) -> SmtpReply:
        """Send the data; once the final dot is sent, only the relay's reply tells the outcome."""
        rest = b""
        if isinstance(payload, bytes) and len(payload) <= _CHUNK:
            rest = _stuffed(payload)
        else:
            await self._write_all((payload,) if isinstance(payload, bytes) else payload)
        self._conversation.write(rest + b".\r\n", replies=1)
        progress.stage = Stage.PAYLOAD
        reply = await self._conversation.reply()
        # Any reply ends the transaction (RFC 5321, 4.1.1.4).
        self._open = self._in_data = False
        self._require_positive(reply)
        self._in_sync = True
        return reply

    async def _write_all(self, pieces: Iterable[bytes]) -> None:
        """Write the data and wait until the buffer is empty: the final dot must not wait in it.

        Args:
            pieces: None begins with a dot at the start of a line.
        """
        # A limit of 0 would pause TLS transports that have nothing left to write, for good.
        self._transport.set_write_buffer_limits(high=1)
        for piece in pieces:
            view = memoryview(_stuffed(piece))
            for start in range(0, len(view), _CHUNK):
                self._conversation.write(view[start : start + _CHUNK])
                await self._conversation.drain()

    @property
    def _pipelines(self) -> bool:
        return self._pipelining.trusted and "pipelining" in self._offers

    async def _command(self, command: bytes) -> SmtpReply:
        self._in_sync = False
        self._conversation.send_commands(command)
        return await self._conversation.reply()

    def _require_positive(self, reply: SmtpReply) -> None:
        if not reply.positive:
            raise self._refusal(reply)

    def _refusal(self, reply: SmtpReply) -> NegativeReply:
        """The error for a negative reply; unless it is 421, the connection stays reusable."""
        self._in_sync = reply.negative and reply.code != CLOSING
        return NegativeReply(reply)


def _commands(batch: Sequence[str], remaining: Sequence[str]) -> Iterator[bytes]:
    """RCPT TO for a batch of recipients, and DATA if none remain."""
    yield from map(_recipient, batch)
    if not remaining:
        yield _DATA


def _stuffed(text: bytes) -> bytes:
    """Dot-stuffed (RFC 5321, 4.5.2)."""
    return text.replace(b"\r\n.", b"\r\n..")


def _recipient(address: str) -> bytes:
    return f"RCPT TO:<{address}>".encode()


def _refusals(progress: MailProgress) -> int:
    return sum(not reply.positive for reply in progress.replies.values())


def _taken(progress: MailProgress) -> list[str]:
    return [address for address, reply in progress.replies.items() if reply.positive]


def _best(progress: MailProgress) -> SmtpReply:
    """A reply that accepts a recipient, or the first reply if none does."""
    replies = list(progress.replies.values())
    return next((reply for reply in replies if reply.positive), replies[0])
