"""One connection to a relay: hands over a mail at a time, and knows whether it is fit for another.

The steps of a mail are ours rather than aiosmtplib's `sendmail`, which does not tell a connection
lost before the final dot from one lost after it, and on closing still sends what was left to write:
a mail reported as unsent could arrive after all.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Final

from aiosmtplib import SMTPException, SMTPServerDisconnected

from tidings.channels.email.conversation import Conversation, Garbled
from tidings.channels.email.message import Envelope, Mail
from tidings.channels.email.replies import Reply, Stage
from tidings.delivery.value import value

_QUICK: Final = 0.25
"""Seconds. Where a relay takes longer to take a mail, announcing the next would gain nothing."""
_SMALL: Final = 65_536
"""Payloads up to this many bytes are written in one piece with their final dot."""
_FAREWELL: Final = 2.0
"""Seconds that a relay has to answer to QUIT."""
_LEAVING: Final = 421
"""The relay closes the connection after this reply (RFC 5321, 3.8)."""
_GO_ON: Final = 354
_DATA: Final = b"DATA"
_INTERNATIONAL: Final = "smtputf8"
EXTENSIONS: Final = ("size", _INTERNATIONAL, "pipelining")
"""Those that change what is said."""
_NOT_OFFERED: Final = Reply(550, "5.6.7 SMTPUTF8 is not offered")


class Refusal(Exception):
    """The relay answered, and it was no success."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.codes)
        self.reply = reply


class Stale(Exception):
    """The relay had hung up on a kept connection before anything was asked of it."""


@dataclass(slots=True)
class Progress:
    """How far a mail has come, for whoever has to explain where it stopped."""

    stage: Stage = Stage.WAITING


@value(frozen=True, slots=True)
class Receipt:
    """What the relay said when it took a mail, and how many copies it would not take."""

    reply: Reply
    copies: int
    refused: int


class Connection:
    """A connection that is open, greeted, encrypted and logged in.

    Args:
        offers: Extensions of the relay that matter here, in lower case.

    Raises:
        SMTPServerDisconnected: It has been lost already.
    """

    def __init__(self, transport: asyncio.Transport, offers: frozenset[str], *, now: float) -> None:
        self._transport = transport
        self._talk = Conversation(transport)
        if not self._talk.alive:
            raise SMTPServerDisconnected("Connection lost")
        self._offers = offers
        self._settled = True
        self._open = False
        self.announced: Mail | None = None
        """The next mail, where the relay knows of it already."""
        self._quick = False
        self.mails = 0
        self.last_used = now

    @property
    def fit(self) -> bool:
        """Whether another mail may be sent over it: alive, and the last one is over."""
        return self._settled and self._talk.alive

    def may_announce(self, mail: Mail) -> bool:
        """Whether the relay would be told of this mail ahead: it takes such, and took the last one quickly."""
        return self._quick and (not mail.envelope.international or _INTERNATIONAL in self._offers)

    async def carry(
        self, mail: Mail, progress: Progress, ahead: Callable[["Connection"], Mail | None]
    ) -> Receipt:
        """Hand over a mail.

        Args:
            ahead: Which mail this connection carries next, if that is settled. A relay that pipelines is
                told of it with the end of this one (RFC 2920, 3.1); no other may be carried then.

        Raises:
            Refusal: The relay refused it, its sender or its recipient.
            Stale: The connection was kept, and dead; a fresh one may do.
            SMTPException, OSError, Garbled: It broke, at `progress.stage`.
        """
        progress.stage = Stage.SENDER
        everyone = _recipients(mail)
        await self._begin(mail, self._origin(mail), *everyone, _DATA)
        refused = await self._address(everyone, progress)
        progress.stage = Stage.DATA
        await self._announce()
        reply = await self._hand_over(mail.payload, progress, ahead)
        return Receipt(reply, len(mail.envelope.copies), refused)

    async def try_sender(self, sender: str, progress: Progress) -> None:
        """Ask whether the relay takes mail from this address, and leave it at that."""
        wire = Envelope(sender, "", (), override=False, international=not sender.isascii())
        progress.stage = Stage.SENDER
        nothing = Mail(wire, b"")
        await self._begin(nothing, self._origin(nothing))
        await self._tidy()

    async def quit(self) -> None:
        """Take leave, where the relay is waiting for something to be said, and close."""
        if not self.fit or self._talk.owed:
            self.abort()
            return
        try:
            with suppress(SMTPException, OSError, TimeoutError, Garbled):
                async with asyncio.timeout(_FAREWELL):
                    await self._ask(b"QUIT")
        finally:
            self.abort()
        await asyncio.sleep(0)  # the loop closes the socket on its next turn

    def abort(self) -> None:
        """Close at once, sending nothing of what is left to write."""
        self._settled = False
        self._transport.abort()

    async def _begin(self, mail: Mail, origin: bytes, *more: bytes) -> None:
        """MAIL FROM, and where the relay takes it (RFC 2920), all that follows with it."""
        kept = self.mails > 0
        self.mails += 1
        try:
            if self.announced is None:
                await self._tidy()
                self._talk.say(origin, *(more if self._pipelines else ()))
            elif (
                self.announced is not mail
            ):  # the relay waits for that one, and must not get this instead
                raise Stale
            self.announced = None
            self._settled = False
            self._accepted(await self._talk.reply())
            self._open = True
        except (SMTPServerDisconnected, OSError) as lost:
            raise (Stale() if kept else lost) from None
        except Refusal as refusal:
            if kept and refusal.reply.code == _LEAVING:
                raise Stale from None
            raise

    async def _tidy(self) -> None:
        """Leave the last mail behind, where it stopped half-way."""
        if self._talk.owed:
            await self._catch_up()
        if not self._open:
            return
        if not (await self._ask(b"RSET")).positive:
            raise Stale
        self._open, self._settled = False, True

    async def _catch_up(self) -> None:
        """Read what is left of the replies to a mail that was refused before the last of them."""
        self._settled = False
        try:
            while self._talk.owed:
                if (await self._talk.reply()).code == _GO_ON:  # it waits for that mail
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

    async def _address(self, everyone: Sequence[bytes], progress: Progress) -> int:
        """RCPT TO for everyone; returns how many copies were refused."""
        progress.stage = Stage.RECIPIENT
        recipient, *copies = everyone
        self._accepted(await self._next(recipient))
        refused = 0
        for copy in copies:
            refused += not (await self._next(copy)).positive
        return refused

    async def _announce(self) -> None:
        reply = await self._next(_DATA)
        if reply.code != _GO_ON:
            raise self._refusal(reply)

    async def _hand_over(
        self, payload: bytes, progress: Progress, ahead: Callable[["Connection"], Mail | None]
    ) -> Reply:
        """The mail itself; once its final dot is out, only the relay's reply says what became of it."""
        stuffed = payload.replace(b"\r\n.", b"\r\n..")
        if len(stuffed) > _SMALL:
            await self._write_all(stuffed)
            stuffed = b""
        self.announced = ahead(self) if self._pipelines else None
        self._talk.say(*self._beginning(self.announced), payload=stuffed + b".\r\n")
        progress.stage = Stage.PAYLOAD
        said = monotonic()
        reply = await self._talk.reply()
        self._quick = monotonic() - said < _QUICK
        self._open = False  # whatever the verdict, it ends the mail (RFC 5321, 4.1.1.4)
        self._accepted(reply)
        self._settled = True
        return reply

    def _beginning(self, mail: Mail | None) -> tuple[bytes, ...]:
        """All that is said before the payload of a mail."""
        return () if mail is None else (self._origin(mail), *_recipients(mail), _DATA)

    async def _write_all(self, payload: bytes) -> None:
        """Returns when the last byte has left: the final dot must not, while there is doubt."""
        # A limit of 0 would pause TLS transports that have nothing left to write, for good.
        self._transport.set_write_buffer_limits(high=1)
        view = memoryview(payload)
        for start in range(0, len(view), _SMALL):
            self._talk.write(view[start : start + _SMALL])
            await self._talk.drain()

    @property
    def _pipelines(self) -> bool:
        return "pipelining" in self._offers

    async def _next(self, command: bytes) -> Reply:
        """The reply to a command of a mail, which has been said already where the relay pipelines."""
        if self._pipelines:
            return await self._talk.reply()
        return await self._ask(command)

    async def _ask(self, command: bytes) -> Reply:
        self._settled = False
        self._talk.say(command)
        return await self._talk.reply()

    def _accepted(self, reply: Reply) -> None:
        if not reply.positive:
            raise self._refusal(reply)

    def _refusal(self, reply: Reply) -> Refusal:
        """After a no in good form both sides know where they are, and the connection stays fit."""
        self._settled = reply.negative and reply.code != _LEAVING
        return Refusal(reply)


def _recipients(mail: Mail) -> list[bytes]:
    """RCPT TO for everyone, whom it is for first."""
    everyone = (mail.envelope.recipient, *mail.envelope.copies)
    return [f"RCPT TO:<{address}>".encode() for address in everyone]
