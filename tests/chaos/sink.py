"""The other end: an SMTP relay and a Twilio that note every message they take before they answer.

Who a message is for says how it is treated: `reject…` never, `busy…` not the first time, `lost…`
is taken and never answered the first time, `never…` is always put off, `ok…` is taken. A mail for `full…`,
`ghost…` or `foreign…` is answered at RCPT, as a relay does that knows its recipients.
"""

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self, cast
from urllib.parse import parse_qs

KEY: Final = re.compile(rb"^Message-ID: <([0-9a-f-]{36})\.(\d+)@", re.IGNORECASE | re.MULTILINE)
REFERENCE: Final = re.compile(r"ref ([0-9a-f-]{36})")
RECIPIENTS: Final = {
    b"full": b"452 4.2.2 mailbox over quota\r\n",
    b"ghost": b"550 5.1.1 no such user\r\n",
    b"foreign": b"554 5.7.1 Relay access denied\r\n",
}
"""By the beginning of an address: what is said of it before there is a mail."""
PHONES: Final = {"0": "ok", "1": "lost", "2": "busy", "3": "reject"}
"""By the last digit of a number: how its owner is treated."""


class Sink:
    """Use it with `async with`.

    Args:
        log: A line for each message taken: when, which notification, which epoch.
    """

    def __init__(self, log: Path) -> None:
        self._log = log.open("a", buffering=1 << 16)
        self.delay = 0.0
        """Seconds between the end of a message and the answer."""
        self.refuse_all = False
        """Whether everybody is put off at present."""
        self.taken: Counter[str] = Counter()
        """By `id.epoch`, how often it was taken."""
        self.total = 0
        self.in_hand = 0
        """Messages that have arrived and were not answered yet."""
        self.last_taken = 0.0
        self._seen: set[str] = set()
        self._servers: list[asyncio.Server] = []
        self._connections: set[asyncio.Transport] = set()
        self.smtp_port = 0
        self.http_port = 0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for factory in (lambda: _Smtp(self), lambda: _Twilio(self)):
            self._servers.append(await loop.create_server(factory, "127.0.0.1", 0))
        self.smtp_port, self.http_port = (
            server.sockets[0].getsockname()[1] for server in self._servers
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in self._servers:
            server.close()
        for transport in list(self._connections):
            transport.abort()
        self._log.close()

    def flush(self) -> None:
        """Write down what is still in memory."""
        self._log.flush()

    def treatment(self, who: str, key: str) -> str:
        """`take`, `lose`, `busy` or `reject`."""
        first = key not in self._seen
        self._seen.add(key)
        if self.refuse_all or who.startswith("never"):
            return "busy"
        match who[:4]:
            case "reje":
                return "reject"
            case "busy" if first:
                return "busy"
            case "lost" if first:
                return "lose"
        return "take"

    def take(self, key: str) -> None:
        """Note it: from here on it has reached its recipient."""
        self.last_taken = time.time()
        self.taken[key] += 1
        self.total += 1
        self._log.write(f"{self.last_taken:.3f} {key}\n")

    def opened(self, transport: asyncio.Transport) -> None:
        """Somebody connected."""
        self._connections.add(transport)

    def closed(self, transport: asyncio.Transport) -> None:
        """Somebody hung up."""
        self._connections.discard(transport)

    def answer(self, transport: asyncio.Transport, say: Callable[[], None]) -> None:
        """Answer now, or after the delay."""

        def late() -> None:
            self.in_hand -= 1
            if not transport.is_closing():
                say()

        if self.delay:
            self.in_hand += 1
            asyncio.get_running_loop().call_later(self.delay, late)
        else:
            say()


class _Smtp(asyncio.Protocol):
    """One connection of a relay that takes mail."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._buffer = b""
        self._in_data = False
        self._recipient = ""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._sink.opened(self._transport)
        self._transport.write(b"220 sink ESMTP\r\n")

    def connection_lost(self, exc: Exception | None) -> None:
        self._sink.closed(self._transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._step():
            pass

    def _step(self) -> bool:
        end = b"\r\n.\r\n" if self._in_data else b"\r\n"
        taken, found, rest = self._buffer.partition(end)
        if not found:
            return False
        self._buffer = rest
        if self._in_data:
            self._in_data = False
            self._mail(taken)
        else:
            self._command(taken)
        return True

    def _command(self, line: bytes) -> None:
        match line[:4].upper():
            case b"EHLO":
                self._transport.write(b"250-sink\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n")
            case b"RCPT":
                address = line.partition(b"<")[2]
                self._recipient = address.decode("utf-8", "replace")
                self._transport.write(RECIPIENTS.get(address.partition(b"-")[0], b"250 ok\r\n"))
            case b"DATA":
                self._in_data = True
                self._transport.write(b"354 go on\r\n")
            case b"QUIT":
                self._transport.write(b"221 bye\r\n")
                self._transport.close()
            case _:
                self._transport.write(b"250 ok\r\n")

    def _mail(self, mail: bytes) -> None:
        match = KEY.search(mail)
        key = f"{match[1].decode()}.{match[2].decode()}" if match else "unknown.0"
        match self._sink.treatment(self._recipient, key):
            case "reject":
                self._say(b"550 5.1.1 no such user\r\n")
            case "busy":
                self._say(b"451 4.3.2 come back later\r\n")
            case "lose":
                self._sink.take(key)
                self._transport.abort()
            case _:
                self._sink.take(key)
                self._say(b"250 2.0.0 queued as sink\r\n")

    def _say(self, reply: bytes) -> None:
        transport = self._transport
        self._sink.answer(transport, lambda: transport.write(reply))


class _Twilio(asyncio.Protocol):
    """One connection of a server that takes text messages as Twilio does."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._sink.opened(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._sink.closed(self._transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        size = int(length[1]) if length else 0
        if found and len(body) >= size:
            self._buffer = body[size:]
            self._message(parse_qs(body[:size].decode()))

    def _message(self, form: dict[str, list[str]]) -> None:
        to, text = form.get("To", ["?"])[0], form.get("Body", [""])[0]
        match = REFERENCE.search(text)
        key = f"{match[1] if match else 'unknown'}.0"
        match self._sink.treatment(PHONES.get(to[-1], "ok"), key):
            case "reject":
                self._say(400, {"code": 21211, "message": "not a valid number", "status": 400})
            case "busy":
                self._say(503, {"message": "come back later", "status": 503})
            case "lose":
                self._sink.take(key)
                self._transport.abort()
            case _:
                self._sink.take(key)
                self._say(201, {"sid": "SM" + key.replace("-", "")[:32], "status": "queued"})

    def _say(self, status: int, body: dict[str, object]) -> None:
        text, transport = json.dumps(body).encode(), self._transport
        head = f"HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {len(text)}\r\n\r\n"
        self._sink.answer(transport, lambda: transport.write(head.encode() + text))
