"""An SMTP server that takes everything, as slowly as it is told, and keeps what it took."""

import asyncio
import re
from collections import Counter
from dataclasses import dataclass, field
from email.parser import BytesHeaderParser
from typing import Self


@dataclass
class SmtpSink:
    """Use it with `async with`; `port` is known inside.

    Args:
        delay: Seconds between the end of a mail's data and the reply.
    """

    delay: float = 0.0
    port: int = 0
    taken: Counter[str] = field(default_factory=Counter)
    """Notification ids, from the Message-ID, by how often each was accepted."""
    in_hand: int = 0
    """Mails whose data has arrived and whose reply has not gone out."""
    refuse: bytes | None = None
    """A reply to every RCPT instead of 250, e.g. `b"550 5.1.1 no such user"`."""
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(b"220 sink ESMTP\r\n")
            while line := await reader.readline():
                reply = await self._reply(line, reader, writer)
                writer.write(reply + b"\r\n")
                await writer.drain()
                if line[:4].upper() == b"QUIT":
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # a killed worker hangs up in the middle of anything
        finally:
            writer.close()

    async def _reply(
        self, line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytes:
        match line[:4].upper():
            case b"EHLO":
                return b"250-sink\r\n250-8BITMIME\r\n250 SMTPUTF8"
            case b"RCPT" if self.refuse:
                return self.refuse
            case b"DATA":
                writer.write(b"354 go on\r\n")
                data = await reader.readuntil(b"\r\n.\r\n")
                await self._take(data)
                return b"250 2.0.0 queued as sink"
            case b"QUIT":
                return b"221 bye"
            case _:
                return b"250 ok"

    async def _take(self, data: bytes) -> None:
        message_id = BytesHeaderParser().parsebytes(data)["Message-ID"]
        found = re.match(r"<([0-9a-f-]{36})\.\d+@", message_id)
        assert found, message_id
        self.in_hand += 1
        try:
            await asyncio.sleep(self.delay)
        finally:
            self.in_hand -= 1
        self.taken[found[1]] += 1
