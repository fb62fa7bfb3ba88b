"""Speaks SMTP over a connection that aiosmtplib opened: sends commands, reads replies in order.

aiosmtplib reads one reply at a time and drops any input behind it, so it can't pipeline commands
(RFC 2920). Once it has connected, encrypted and logged in, this module takes over its transport.
"""

import asyncio
import re
from collections import deque
from typing import Final

from aiosmtplib import SMTPServerDisconnected

from tidings.channels.email.connection_limits import CLOSING, ClosedByRelay
from tidings.channels.email.replies import SmtpReply

_LINE: Final = re.compile(rb"([2-5]\d\d)(?:([ -])(.*))?", re.DOTALL)
_CODES: Final = {b"%d " % code: code for code in range(200, 600)}
"""Prefixes of a reply's last line; most replies have one line."""
_LONGEST: Final = 65_536
"""Bytes of a reply at most. RFC 5321 (4.5.3.1.5) allows 512 a line."""


class MalformedReply(ValueError):
    """The input is not an SMTP reply, and nothing after it can be interpreted."""


class Conversation(asyncio.Protocol):
    """Commands and replies of one connection.

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
        self._replies: deque[SmtpReply] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._ended: Exception | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self.outstanding = 0
        """Replies to commands sent that have not been read yet."""
        if transport.is_closing():
            self._end(None)
        transport.set_protocol(self)

    @property
    def alive(self) -> bool:
        """Whether commands can be sent."""
        return self._ended is None and not self._transport.is_closing()

    def send_commands(self, *commands: bytes) -> None:
        """Send commands in one write.

        Raises:
            ValueError: A command contains a line break.
            SMTPServerDisconnected: The connection is lost.
        """
        lines, ends = b"\r\n".join((*commands, b"")), len(commands)
        if not lines.count(b"\n") == lines.count(b"\r") == ends or b"\0" in lines:
            raise ValueError("an SMTP command contains a line break")
        self.write(lines, replies=ends)

    def write(self, data: bytes | memoryview, *, replies: int = 0) -> None:
        """Send raw bytes, and expect so many replies.

        Raises:
            SMTPServerDisconnected: The connection is lost.
        """
        if not self.alive:
            raise self._ended or SMTPServerDisconnected("Connection lost")
        self.outstanding += replies
        self._transport.write(data)

    async def drain(self) -> None:
        """Wait until the write buffer is empty."""
        await self._writable.wait()
        if self._ended is not None:
            raise self._ended

    async def reply(self) -> SmtpReply:
        """The next reply.

        Raises:
            SMTPServerDisconnected: The connection was lost first.
            MalformedReply: The input is not a reply.
        """
        while not self._replies:
            if self._ended is not None:
                raise self._ended
            self._waiter = self._loop.create_future()
            await self._waiter
        self.outstanding -= 1
        return self._replies.popleft()

    def data_received(self, data: bytes) -> None:
        """Parse received bytes."""
        if self._ended is not None:
            return
        self._length += len(data)
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._read(line)
        if self._length > _LONGEST:
            self._end(MalformedReply(f"a reply of more than {_LONGEST} bytes"))
        if len(self._replies) > self.outstanding:  # unsolicited: a 421, or the relay is out of step
            unsolicited = self._replies[self.outstanding]
            self._end(ClosedByRelay(unsolicited) if unsolicited.code == CLOSING else None)
        self._wake()

    def eof_received(self) -> bool:
        """The relay closed the connection."""
        self._end(None)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        self._end(None)

    def pause_writing(self) -> None:
        """The write buffer is full."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The write buffer has room again."""
        self._writable.set()

    def _read(self, line: bytes) -> None:
        if self._ended is not None:  # after malformed input, replies can't be matched to commands
            return
        if not self._lines and (code := _CODES.get(line[:4])) is not None:
            self._length = 0
            text = line[4:].strip(b" \t\r").decode("utf-8", "surrogateescape")
            self._replies.append(SmtpReply(code, text))
            return
        found = _LINE.fullmatch(line.rstrip(b" \t\r"))
        if found is None or (self._lines and found[1] != self._code):
            self._end(MalformedReply("a line that is not a reply"))
            return
        self._code = found[1]
        self._lines.append((found[3] or b"").strip(b" \t"))
        if found[2] != b"-":
            text = b"\n".join(self._lines).decode("utf-8", "surrogateescape")
            self._lines.clear()
            self._length = 0
            self._replies.append(SmtpReply(int(self._code), text))

    def _end(self, error: Exception | None) -> None:
        if self._ended is None:
            self._ended = error or SMTPServerDisconnected("Connection lost")
        self._writable.set()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
