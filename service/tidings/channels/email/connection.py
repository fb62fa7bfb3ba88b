"""One connection to a relay: hands over a mail at a time, and knows whether it is fit for another.

The steps of a mail are ours rather than aiosmtplib's `sendmail`, which does not tell a connection
lost before the final dot from one lost after it, and on closing still sends what was left to write:
a mail reported as unsent could arrive after all.
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
    LEAVING,
    REFUSALS,
    Crowded,
    Refusal,
    Stale,
    TookLeave,
)
from tidings.channels.email.conversation import Conversation, Garbled
from tidings.channels.email.message import Envelope, Mail
from tidings.channels.email.redaction import addressless
from tidings.channels.email.relaying import Login
from tidings.channels.email.replies import Reply, Stage, Welcome

log = structlog.get_logger(__name__)

_SMALL: Final = 65_536
"""Payloads up to this many bytes are written in one piece with their final dot."""
FAREWELL: Final = 2.0
"""Seconds that a relay has to come to a point at which leave can be taken, and to answer to QUIT."""
_PIPED: Final = 5.0
"""Seconds between the first and the second reply to commands sent together, on a connection that never
answered such before: a relay that drops what comes behind a command stays silent."""
_PIPED_BEHIND: Final = frozenset({Stage.RECIPIENT, Stage.DATA})
"""Stages at which the reply is one to a command that was sent behind another."""
_DISTRUST: Final = 600.0
"""Seconds for which such silence is remembered; it may have been a slow moment of the relay."""
_GO_ON: Final = 354
_DATA: Final = b"DATA"
_INTERNATIONAL: Final = "smtputf8"
EXTENSIONS: Final = ("size", _INTERNATIONAL, "pipelining")
"""Those that change what is said."""
_NOT_OFFERED: Final = Reply(550, "5.6.7 SMTPUTF8 is not offered")


class Pipelining:
    """Whether a relay that offers it (RFC 2920) is sent the commands of a mail together."""

    def __init__(self, *, wanted: bool) -> None:
        self._since = 0.0 if wanted else inf

    @property
    def trusted(self) -> bool:
        """Whether it is."""
        return monotonic() >= self._since

    def distrust(self, why: str, seconds: float = inf) -> None:
        """Not any more, or not for a time: it seems to offer what it can't do."""
        if self.trusted:
            self._since = monotonic() + seconds
            log.warning(
                "the relay offers PIPELINING and seems not to understand it: commands are sent one by one",
                why=why,
                remedy="if it happens again, set TIDINGS_EMAIL_PIPELINING=false",
            )


@dataclass(slots=True)
class Progress:
    """How far a mail has come, for whoever has to explain where it stopped."""

    stage: Stage = Stage.WAITING
    replies: dict[str, Reply] = field(default_factory=dict)
    """What the relay said of each recipient it was asked for."""
    welcome: Welcome = Welcome.NO
    """Whether the relay passes mail on for us, by all that was known then."""


class Connection:
    """A connection that is open, greeted, encrypted and logged in.

    Args:
        offers: Extensions of the relay that matter here, in lower case.
        pipelining: What is known of the relay that offers it.
        login: What it meets here.

    Raises:
        SMTPServerDisconnected: It has been lost already.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        offers: frozenset[str],
        pipelining: Pipelining,
        login: Login,
        *,
        now: float,
    ) -> None:
        self._transport = transport
        self._talk = Conversation(transport)
        if not self._talk.alive:
            raise SMTPServerDisconnected("Connection lost")
        self._offers = offers
        self._pipelining = pipelining
        self._login = login
        self._piped = False
        """Whether the commands of the mail under way went together."""
        self._pipes = False
        """Whether commands that went together were all answered once."""
        self._settled = True
        self._open = False
        self._awaited = False
        """Whether the relay takes whatever comes for a part of the mail."""
        self._proven = False
        """Whether the relay took our sender once."""
        self._refused = 0
        """Mails and copies refused in a row."""
        self.mails = 0
        self.last_used = now

    @property
    def fit(self) -> bool:
        """Whether another mail may be sent over it: alive, and the last one is over."""
        return self._settled and self._talk.alive

    @property
    def alive(self) -> bool:
        """Whether neither end has hung up."""
        return self._talk.alive

    @property
    def may_quit(self) -> bool:
        """Whether QUIT would be understood, once all is answered that was said."""
        return self._talk.alive and not self._awaited

    @property
    def tired(self) -> bool:
        """Whether it had so many refusals in a row that the relay may slow it down."""
        return self._refused >= REFUSALS

    async def carry(self, mail: Mail, progress: Progress) -> Reply:
        """Hand over a mail; what the relay said when it took it.

        It is taken for those of whom `progress.replies` says so: where several copies were refused, the
        relay is not asked for the others.

        Raises:
            Refusal: The relay refused it, its sender, its recipient, or everybody.
            Stale: This connection would not do, and nothing was sent; a fresh one may do.
            Crowded: The relay wants fewer connections of ours, and took nothing.
            SMTPException, OSError, Garbled: It broke, at `progress.stage`.
        """
        kept, proven = self.mails > 0, self._proven and not mail.envelope.override
        self.mails += 1
        try:
            reply = await self._carry(mail, progress)
            self._login.accepted(_taken(progress))
        except TookLeave as left:
            raise self._judged(left, left.reply, mail, progress, kept=kept, proven=proven) from None
        except (SMTPServerDisconnected, ConnectionError) as lost:
            raise (Stale() if kept and progress.stage < Stage.PAYLOAD else lost) from None
        except Refusal as refusal:
            self._refused += max(1, _refusals(progress))
            if self._met(refusal.reply, mail, progress):
                raise Stale from None
            raise self._judged(
                refusal, refusal.reply, mail, progress, kept=kept, proven=proven
            ) from None
        finally:
            progress.welcome = self._login.welcome
        self._refused = _refusals(progress) if mail.envelope.copies else 0
        return reply

    def _met(self, reply: Reply, mail: Mail, progress: Progress) -> bool:
        """Learn from a refusal; whether a new login has to be asked before it is believed."""
        if taken := _taken(progress):
            self._login.accepted(taken)
            return False
        return self._login.refused(progress.stage, reply, mail.envelope.everyone)

    def _judged(
        self,
        trouble: Exception,
        said: Reply,
        mail: Mail,
        progress: Progress,
        *,
        kept: bool,
        proven: bool,
    ) -> Exception:
        """What a refusal is about: this connection, one connection too many, or none of both."""
        stage = progress.stage
        # An address in it may hold a word that says something else.
        reply = Reply(said.code, addressless(said.text, mail.envelope.everyone))
        if connection_limits.crowded(stage, reply):
            return Crowded(trouble)
        if self._piped and stage in _PIPED_BEHIND and connection_limits.out_of_step(reply):
            self._pipelining.distrust(reply.codes)
            return Stale()
        return (
            Stale() if kept and connection_limits.worn(stage, reply, own_sender=proven) else trouble
        )

    async def _carry(self, mail: Mail, progress: Progress) -> Reply:
        progress.stage = Stage.SENDER
        progress.replies.clear()
        everyone = mail.envelope.everyone
        asked, others = everyone[:REFUSALS], everyone[REFUSALS:]
        await self._begin(mail, *_asking(asked, others))
        progress.stage = Stage.RECIPIENT
        await self._address(mail, asked, progress)
        while others and (room := REFUSALS - _refusals(progress)) > 0:
            asked, others = others[:room], others[room:]
            if self._piped:
                self._talk.say(*_asking(asked, others))
            await self._address(mail, asked, progress)
        if not mail.envelope.recipient:
            self._accepted(_best(progress))
        progress.stage = Stage.DATA
        await self._begin_payload(said=self._piped and not others)
        return await self._hand_over(mail.payload, progress)

    async def try_sender(self, sender: str, progress: Progress) -> None:
        """Ask whether the relay takes mail from this address, to itself, and leave it at that.

        Postfix says what it has against a client, its name and its sender only once there is a recipient
        (`smtpd_delay_reject`).
        """
        wire = Envelope(sender, sender, (), override=False, international=not sender.isascii())
        nothing = Mail(wire, b"")
        progress.stage = Stage.SENDER
        await self._begin(nothing)
        progress.stage = Stage.RECIPIENT
        self._piped = False
        self._accepted(await self._ask(_recipient(sender)))
        await self._tidy()

    async def quit(self) -> None:
        """Take leave where that is understood, and close."""
        if not self.may_quit:
            self.abort()
            return
        try:
            with suppress(SMTPException, OSError, TimeoutError, Garbled, Stale):
                async with asyncio.timeout(FAREWELL):
                    await self._catch_up()
                    await self._ask(b"QUIT")
        finally:
            self.abort()
        await asyncio.sleep(0)  # the loop closes the socket on its next turn

    def abort(self) -> None:
        """Close at once, sending nothing of what is left to write."""
        self._settled = False
        self._transport.abort()

    async def _begin(self, mail: Mail, *more: bytes) -> None:
        """MAIL FROM, and where the relay takes it (RFC 2920), all that follows with it."""
        origin = self._origin(mail)
        await self._tidy()
        self._piped = self._pipelines and bool(more)
        self._settled = False
        self._talk.say(origin, *(more if self._piped else ()))
        self._accepted(await self._talk.reply())
        self._open = True
        self._proven = self._proven or not mail.envelope.override

    async def _tidy(self) -> None:
        """Leave the last mail behind, where it stopped half-way."""
        await self._catch_up()
        if not self._open:
            return
        if not (await self._ask(b"RSET")).positive:
            raise Stale
        self._open, self._settled = False, True

    async def _catch_up(self) -> None:
        """Read what is left of the replies to a mail that was refused before the last of them."""
        if not self._talk.owed:
            return
        self._settled = False
        try:
            while self._talk.owed:
                if (await self._talk.reply()).code == _GO_ON:  # it waits for that mail
                    self._awaited = True
                    raise Stale
        except Garbled:
            raise Stale from None

    def _origin(self, mail: Mail) -> bytes:
        """Our sender, and what the relay has to know beforehand (RFC 1870, RFC 6531)."""
        command = f"MAIL FROM:<{mail.envelope.sender}>".encode()
        if "size" in self._offers:
            command += b" SIZE=%d" % len(mail.payload)
        if mail.envelope.international:
            if _INTERNATIONAL not in self._offers:
                raise Refusal(_NOT_OFFERED)
            command += b" BODY=8BITMIME SMTPUTF8"
        return command

    async def _address(self, mail: Mail, asked: Sequence[str], progress: Progress) -> None:
        """RCPT TO for some of its recipients; whom it is for has to be accepted."""
        for address in asked:
            reply = await (self._next_piped() if self._piped else self._ask(_recipient(address)))
            progress.replies[address] = reply
            if address == mail.envelope.recipient or reply.code == LEAVING:
                self._accepted(reply)

    async def _next_piped(self) -> Reply:
        """The next reply to a command that was sent behind another."""
        if self._pipes:
            return await self._talk.reply()
        try:
            async with asyncio.timeout(_PIPED):
                reply = await self._talk.reply()
        except TimeoutError:
            self._pipelining.distrust(f"no reply within {_PIPED:g}s", _DISTRUST)
            raise Stale from None
        self._pipes = True
        return reply

    async def _begin_payload(self, *, said: bool) -> None:
        """DATA, unless it was said already."""
        reply = await (self._talk.reply() if said else self._ask(_DATA))
        if reply.code != _GO_ON:
            raise self._refusal(reply)
        self._awaited = True

    async def _hand_over(self, payload: Payload, progress: Progress) -> Reply:
        """The mail itself; once its final dot is out, only the relay's reply says what became of it."""
        rest = b""
        if isinstance(payload, bytes) and len(payload) <= _SMALL:
            rest = _stuffed(payload)
        else:
            await self._write_all((payload,) if isinstance(payload, bytes) else payload)
        self._talk.write(rest + b".\r\n", replies=1)
        progress.stage = Stage.PAYLOAD
        reply = await self._talk.reply()
        # Whatever the verdict, it ends the mail (RFC 5321, 4.1.1.4).
        self._open = self._awaited = False
        self._accepted(reply)
        self._settled = True
        return reply

    async def _write_all(self, pieces: Iterable[bytes]) -> None:
        """Returns when the last byte has left: the final dot must not, while there is doubt.

        Args:
            pieces: Each begins where no dot is at the beginning of a line.
        """
        # A limit of 0 would pause TLS transports that have nothing left to write, for good.
        self._transport.set_write_buffer_limits(high=1)
        for piece in pieces:
            view = memoryview(_stuffed(piece))
            for start in range(0, len(view), _SMALL):
                self._talk.write(view[start : start + _SMALL])
                await self._talk.drain()

    @property
    def _pipelines(self) -> bool:
        return self._pipelining.trusted and "pipelining" in self._offers

    async def _ask(self, command: bytes) -> Reply:
        self._settled = False
        self._talk.say(command)
        return await self._talk.reply()

    def _accepted(self, reply: Reply) -> None:
        if not reply.positive:
            raise self._refusal(reply)

    def _refusal(self, reply: Reply) -> Refusal:
        """After a no in good form both sides know where they are, and the connection stays fit."""
        self._settled = reply.negative and reply.code != LEAVING
        return Refusal(reply)


def _asking(asked: Sequence[str], others: Sequence[str]) -> Iterator[bytes]:
    """RCPT TO for some recipients, and DATA where there are no others."""
    yield from map(_recipient, asked)
    if not others:
        yield _DATA


def _stuffed(text: bytes) -> bytes:
    """With a dot more where a line begins with one (RFC 5321, 4.5.2)."""
    return text.replace(b"\r\n.", b"\r\n..")


def _recipient(address: str) -> bytes:
    return f"RCPT TO:<{address}>".encode()


def _refusals(progress: Progress) -> int:
    return sum(not reply.positive for reply in progress.replies.values())


def _taken(progress: Progress) -> list[str]:
    return [address for address, reply in progress.replies.items() if reply.positive]


def _best(progress: Progress) -> Reply:
    """A reply that accepts somebody; the first where none does."""
    replies = list(progress.replies.values())
    return next((reply for reply in replies if reply.positive), replies[0])
