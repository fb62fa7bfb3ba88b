"""What one large message takes of a process's memory, from the broker's bytes to its ack."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Final
from uuid import uuid4

import aio_pika
from tests.support.processes import Role, running
from tests.support.worker_rig import eventually

from tidings.broker.topology.layout import DEAD
from tidings_events.notifications.email import MAX_ATTACHED_BYTES
from tidings_events.routing import EXCHANGE

MIB: Final = 1024 * 1024
NOISE: Final = 5
"""MiB that an allocator may hold beyond what is used, and what arrives in pieces."""


class Receiver:
    """Takes mails and webhooks of any size, and keeps none."""

    def __init__(self) -> None:
        self.port = 0
        self.taken = 0

    async def mail(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """An SMTP session."""
        writer.write(b"220 sink ESMTP\r\n")
        while line := await reader.readline():
            if line.startswith(b"DATA"):
                writer.write(b"354 go on\r\n")
                await _until(reader, b"\r\n.\r\n")
                self.taken += 1
            writer.write(b"221 bye\r\n" if line.startswith(b"QUIT") else b"250 ok\r\n")
        writer.close()

    async def webhook(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A request and its answer."""
        head = await reader.readuntil(b"\r\n\r\n")
        [length] = [
            line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
        ]
        left = int(length.split(b":")[1])
        while left:
            left -= len(await reader.read(min(left, 65_536)))
        self.taken += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()


async def _until(reader: asyncio.StreamReader, end: bytes) -> None:
    tail = b""
    while not tail.endswith(end):
        tail = (tail + await reader.read(65_536))[-len(end) :]


@asynccontextmanager
async def receiving(kind: str) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(getattr(receiver, kind), "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()


def email(size: int) -> bytes:
    file = {"filename": "a.bin", "content_type": "application/octet-stream"}
    file["content"] = b64encode(Random(1).randbytes(size)).decode()
    return _body(
        "email", recipient="ada@example.com", subject="Hello", body="Hi", attachments=[file]
    )


def webhook(size: int, port: int) -> bytes:
    fields = {"recipient": f"http://127.0.0.1:{port}/", "event_type": "order.paid"}
    return _body("webhook", **fields, payload={"text": "x" * size})


def _body(channel: str, **fields: object) -> bytes:
    return json.dumps({"id": str(uuid4()), "channel": channel, **fields}).encode()


class Measured:
    """A process, and what a message takes of its memory beyond what it holds when it is idle."""

    def __init__(self, pid: int, url: str) -> None:
        self._pid = pid
        self._url = url

    async def taking(
        self, exchange: str, key: str, body: bytes, done: Callable[[], object]
    ) -> float:
        """MiB at the peak."""
        before = self._idle()
        await _publish(self._url, exchange, key, body)
        await eventually(done, within=60)
        return self._status("VmHWM") - before

    def _idle(self) -> float:
        Path(f"/proc/{self._pid}/clear_refs").write_text("5")  # the peak begins anew
        return self._status("VmRSS")

    def _status(self, name: str) -> float:
        lines = Path(f"/proc/{self._pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


async def _publish(url: str, exchange: str, key: str, body: bytes) -> None:
    connection = await aio_pika.connect(url)
    async with connection, connection.channel() as channel:
        to = await channel.get_exchange(exchange, ensure=False)
        message = aio_pika.Message(body, content_type="application/json", delivery_mode=2)
        await to.publish(message, key)


async def test_a_worker_takes_three_times_a_large_message(
    env: dict[str, str], tmp_path: Path
) -> None:
    async with receiving("mail") as mails, receiving("webhook") as hooks:
        env |= {
            "TIDINGS_EMAIL_PORT": str(mails.port),
            "TIDINGS_EMAIL_SEND_TIMEOUT": "30s",
            "TIDINGS_WEBHOOK_SECRET": "whsec_" + b64encode(b"x" * 32).decode(),
            "TIDINGS_WEBHOOK_ALLOW_PRIVATE": "true",
        }
        async with running("worker", env=env, log=tmp_path / "log", installed=True) as role:
            worker = Measured(role.process.pid, env["TIDINGS_AMQP_URL"])
            for key, receiver, small, large in (
                ("email.normal", mails, email(1), email(MAX_ATTACHED_BYTES)),
                ("webhook.normal", hooks, webhook(1, hooks.port), webhook(9 * MIB, hooks.port)),
            ):
                await worker.taking(EXCHANGE, key, small, partial(_taken, receiver, 1))
                peak = await worker.taking(EXCHANGE, key, large, partial(_taken, receiver, 2))
                assert peak < allowed(large), key


async def test_an_archive_takes_three_times_a_large_dead_letter(
    env: dict[str, str], tmp_path: Path
) -> None:
    async with running("archive", env=env, log=tmp_path / "log", installed=True) as role:
        archive = Measured(role.process.pid, env["TIDINGS_AMQP_URL"])
        small, large = webhook(1, 1), webhook(9 * MIB, 1)
        await archive.taking(DEAD, "webhook.normal", small, partial(_archived, role, 1))
        peak = await archive.taking(DEAD, "webhook.normal", large, partial(_archived, role, 2))
        assert peak < allowed(large)


def _taken(receiver: Receiver, number: int) -> bool:
    return receiver.taken >= number


def _archived(role: Role, number: int) -> bool:
    lines = role.get("/metrics").splitlines()
    counts = [
        float(line.split()[-1]) for line in lines if line.startswith("tidings_dead_letters_total")
    ]
    return sum(counts) >= number


def allowed(body: bytes) -> float:
    """MiB: the body, and twice more of it while the driver writes it to PostgreSQL, or while JSON is read."""
    return 3 * len(body) / MIB + NOISE
