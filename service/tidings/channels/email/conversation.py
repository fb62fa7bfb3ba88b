"""Speaks SMTP over a connection that aiosmtplib opened: commands out, replies in, in their order.

aiosmtplib takes one reply at a time and drops what comes with it, so it can't have several commands
under way (RFC 2920). Once it has connected, encrypted and logged in, its transport is ours.
"""

import asyncio
import re
from collections import deque
from typing import Final

from aiosmtplib import SMTPServerDisconnected

from tidings.channels.email.connection_limits import LEAVING, TookLeave
from tidings.channels.email.replies import Reply

_LINE: Final = re.compile(rb"([2-5]\d\d)(?:([ -])(.*))?", re.DOTALL)
_CODES: Final = {b"%d " % code: code for code in range(200, 600)}
"""What the last line of a reply begins with, which most replies have only."""
_LONGEST: Final = 65_536
"""Bytes of a reply. RFC 5321 (4.5.3.1.5) allows a line 512."""


class Garbled(ValueError):
    """What came is no reply; nothing that comes after it can be told from it."""


class Conversation(asyncio.Protocol):
    """One connection: what is said, and what is answered.

    Args:
        transport: An open connection on which no reply is outstanding.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._code = b""
        self._length = 0
        self._lines: list[bytes] = []
        self._replies: deque[Reply] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._over: Exception | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self.owed = 0
        """Replies outstanding: said, and neither read nor given up."""
        if transport.is_closing():
            self._end(None)
        transport.set_protocol(self)

    @property
    def alive(self) -> bool:
        """Whether something may be said and would be understood."""
        return self._over is None and not self._transport.is_closing()

    def say(self, *commands: bytes) -> None:
        """Send commands, all at once; each is answered.

        Raises:
            ValueError: A command has a line break in it.
            SMTPServerDisconnected: The connection is lost.
        """
        lines, ends = b"\r\n".join((*commands, b"")), len(commands)
        if not lines.count(b"\n") == lines.count(b"\r") == ends or b"\0" in lines:
            raise ValueError("an SMTP command has a line break in it")
        self.write(lines, replies=ends)

    def write(self, data: bytes | memoryview, *, replies: int = 0) -> None:
        """Send bytes as they are, which so many replies will answer.

        Raises:
            SMTPServerDisconnected: The connection is lost.
        """
        if not self.alive:
            raise self._over or SMTPServerDisconnected("Connection lost")
        self.owed += replies
        self._transport.write(data)

    async def drain(self) -> None:
        """Wait until what was written has left."""
        await self._writable.wait()
        if self._over is not None:
            raise self._over

    async def reply(self) -> Reply:
        """The next reply.

        Raises:
            SMTPServerDisconnected: The connection was lost before it came.
            Garbled: What came instead is no reply.
        """
        while not self._replies:
            if self._over is not None:
                raise self._over
            self._waiter = self._loop.create_future()
            await self._waiter
        self.owed -= 1
        return self._replies.popleft()

    def data_received(self, data: bytes) -> None:
        """Read what has come."""
        if self._over is not None:
            return
        self._length += len(data)
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._read(line)
        if self._length > _LONGEST:
            self._end(Garbled("a reply without end"))
        if len(self._replies) > self.owed:  # nobody asked: it is taking leave, or lost count
            unasked = self._replies[self.owed]
            self._end(TookLeave(unasked) if unasked.code == LEAVING else None)
        self._wake()

    def eof_received(self) -> bool:
        """The relay has hung up."""
        self._end(None)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._end(None)

    def pause_writing(self) -> None:
        """More is written than can leave."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Enough has left."""
        self._writable.set()

    def _read(self, line: bytes) -> None:
        if self._over is not None:  # after what is no reply nobody knows what answers what
            return
        if not self._lines and (code := _CODES.get(line[:4])) is not None:
            self._length = 0
            text = line[4:].strip(b" \t\r").decode("utf-8", "surrogateescape")
            self._replies.append(Reply(code, text))
            return
        found = _LINE.fullmatch(line.rstrip(b" \t\r"))
        if found is None or (self._lines and found[1] != self._code):
            self._end(Garbled("a line that is no reply"))
            return
        self._code = found[1]
        self._lines.append((found[3] or b"").strip(b" \t"))
        if found[2] != b"-":
            text = b"\n".join(self._lines).decode("utf-8", "surrogateescape")
            self._lines.clear()
            self._length = 0
            self._replies.append(Reply(int(self._code), text))

    def _end(self, why: Exception | None) -> None:
        if self._over is None:
            self._over = why or SMTPServerDisconnected("Connection lost")
        self._writable.set()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
