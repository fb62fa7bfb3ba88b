"""One connection to a relay: hands over a mail at a time, and knows whether it is fit for another.

The steps of a mail are taken one by one rather than by aiosmtplib's `sendmail`, which does not tell
a connection lost before the final dot from one lost after it, and on closing still sends what was
left to write: a mail reported as unsent could arrive after all.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, cast

from aiosmtplib import SMTP, SMTPException, SMTPServerDisconnected

from tidings.channels.email.message import Envelope, Mail
from tidings.channels.email.replies import Reply, Stage

_SMALL: Final = 65_536
"""Payloads up to this many bytes are written in one piece with their final dot."""
_FAREWELL: Final = 2.0
"""Seconds that a relay has to answer to QUIT."""
_LEAVING: Final = 421
"""The relay closes the connection after this reply (RFC 5321, 3.8)."""
_GO_ON: Final = 354
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


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the relay said when it took a mail, and how many copies it would not take."""

    reply: Reply
    copies: int
    refused: int


class Connection:
    """A connection that is open, greeted, encrypted and logged in.

    Raises:
        SMTPServerDisconnected: It has been lost already.
    """

    def __init__(self, smtp: SMTP, *, now: float) -> None:
        if smtp.transport is None or smtp.protocol is None:
            raise SMTPServerDisconnected("Connection lost")
        self._smtp = smtp
        self._transport = cast(asyncio.Transport, smtp.transport)
        # Waits for what has been written to leave, which aiosmtplib never does.
        self._writer = asyncio.StreamWriter(
            self._transport, smtp.protocol, None, asyncio.get_running_loop()
        )
        self._settled = True
        self._open = False
        self.mails = 0
        self.last_used = now

    @property
    def fit(self) -> bool:
        """Whether another mail may be sent over it: alive, and nothing of the last one pending."""
        return self._settled and self._smtp.is_connected

    async def carry(self, mail: Mail, progress: Progress) -> Receipt:
        """Hand over a mail.

        Raises:
            Refusal: The relay refused it, its sender or its recipient.
            Stale: The connection was kept, and dead; a fresh one may do.
            SMTPException, OSError: It broke, at `progress.stage`.
        """
        await self._begin(mail, progress)
        refused = await self._address(mail.envelope, progress)
        progress.stage = Stage.DATA
        await self._announce()
        reply = await self._hand_over(mail.payload, progress)
        return Receipt(reply, len(mail.envelope.copies), refused)

    async def try_sender(self, sender: str, progress: Progress) -> None:
        """Ask whether the relay takes mail from this address, and leave it at that."""
        wire = Envelope(sender, "", (), override=False, international=not sender.isascii())
        await self._begin(Mail(wire, b""), progress)
        await self._reset()

    async def quit(self) -> None:
        """Take leave, where the relay is waiting for something to be said, and close."""
        if not self.fit:
            self.abort()
            return
        try:
            with suppress(SMTPException, OSError, TimeoutError):
                async with asyncio.timeout(_FAREWELL):
                    await self._smtp.execute_command(b"QUIT")
        finally:
            self.abort()
        await asyncio.sleep(0)  # the loop closes the socket on its next turn

    def abort(self) -> None:
        """Close at once, sending nothing of what is left to write."""
        self._settled = False
        self._transport.abort()
        self._smtp.close()

    async def _begin(self, mail: Mail, progress: Progress) -> None:
        """MAIL FROM, after RSET where the last mail was left half-way."""
        progress.stage = Stage.SENDER
        kept = self.mails > 0
        self.mails += 1
        try:
            await self._reset()
            await self._expect(b"MAIL", *self._origin(mail))
            self._open = True
        except (SMTPServerDisconnected, OSError) as lost:
            raise (Stale() if kept else lost) from None
        except Refusal as refusal:
            if kept and refusal.reply.code == _LEAVING:
                raise Stale from None
            raise

    async def _reset(self) -> None:
        if not self._open:
            return
        reply = await self._say(b"RSET")
        if not reply.positive:
            raise Stale
        self._open, self._settled = False, True

    def _origin(self, mail: Mail) -> list[bytes]:
        """Our sender, and what the relay has to know beforehand (RFC 1870, RFC 6531)."""
        words = [f"FROM:<{mail.envelope.sender}>".encode()]
        if self._smtp.supports_extension("size"):
            words.append(b"SIZE=%d" % len(mail.payload))
        if mail.envelope.international:
            if not self._smtp.supports_extension("smtputf8"):
                raise self._refusal(_NOT_OFFERED)
            words += (b"BODY=8BITMIME", b"SMTPUTF8")
        return words

    async def _address(self, wire: Envelope, progress: Progress) -> int:
        """RCPT TO for everyone; returns how many copies were refused."""
        progress.stage = Stage.RECIPIENT
        await self._expect(b"RCPT", _to(wire.recipient))
        refused = 0
        for copy in wire.copies:
            reply = await self._say(b"RCPT", _to(copy))
            refused += not reply.positive
        return refused

    async def _announce(self) -> None:
        reply = await self._say(b"DATA")
        if reply.code != _GO_ON:
            raise self._refusal(reply)

    async def _hand_over(self, payload: bytes, progress: Progress) -> Reply:
        """The mail itself; once its final dot is out, only the relay's reply says what became of it."""
        protocol = self._smtp.protocol
        if protocol is None:
            raise SMTPServerDisconnected("Connection lost")
        stuffed = payload.replace(b"\r\n.", b"\r\n..")
        if len(stuffed) > _SMALL:
            await self._write_all(stuffed)
            stuffed = b""
        protocol.write(stuffed + b".\r\n")
        progress.stage = Stage.PAYLOAD
        reply = Reply(*await protocol.read_response())
        self._open = False  # whatever the verdict, it ends the mail (RFC 5321, 4.1.1.4)
        if not reply.positive:
            raise self._refusal(reply)
        self._settled = True
        return reply

    async def _write_all(self, payload: bytes) -> None:
        """Returns when the last byte has left: the final dot must not, while there is doubt."""
        # A limit of 0 would pause TLS transports that have nothing left to write, for good.
        self._transport.set_write_buffer_limits(high=1)
        view = memoryview(payload)
        for start in range(0, len(view), _SMALL):
            self._writer.write(view[start : start + _SMALL])
            await self._writer.drain()

    async def _expect(self, *words: bytes) -> None:
        reply = await self._say(*words)
        if not reply.positive:
            raise self._refusal(reply)

    async def _say(self, *words: bytes) -> Reply:
        self._settled = False
        return Reply(*await self._smtp.execute_command(*words))

    def _refusal(self, reply: Reply) -> Refusal:
        """After a no in good form both sides know where they are, and the connection stays fit."""
        self._settled = reply.negative and reply.code != _LEAVING
        return Refusal(reply)


def _to(address: str) -> bytes:
    return f"TO:<{address}>".encode()
