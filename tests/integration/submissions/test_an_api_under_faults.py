"""A real API process under load: killed, cut off from either server or both, left by its callers in the middle.

Its callers do as they should: who gets no answer, or 503, sends the request again with the same Idempotency-Key.
"""

import asyncio
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from uuid import UUID

import aiohttp
import pytest
from tests.doubles.channel import ScriptedChannel
from tests.support.submission_rig import ACTOR, SubmissionRig, mail
from tests.support.wire import Wire
from tests.support.worker_rig import eventually

from tidings.ledger import PostgresLedger
from tidings.operations import keys
from tidings.operations.backend import Backend

REQUESTS = 400
CALLERS = 16
LEAVES_AFTER_ITS_BODY = 10
"""Every so many requests."""


@dataclass
class Callers:
    """They send until each request is accepted."""

    port: int
    key: str
    accepted: dict[str, UUID] = field(default_factory=dict)
    refused: Counter[int] = field(default_factory=Counter)

    async def run(self) -> None:
        """Send all requests, so many at once."""
        waiting = iter([f"order-{number}" for number in range(REQUESTS)])
        async with aiohttp.ClientSession() as session:
            await asyncio.gather(*(self._send_each(session, waiting) for _ in range(CALLERS)))

    async def _send_each(self, session: aiohttp.ClientSession, waiting: Iterator[str]) -> None:
        for name in waiting:
            if int(name.rpartition("-")[2]) % LEAVES_AFTER_ITS_BODY == 0:
                with suppress(OSError):
                    await self._leave_after_body(name)
            while name not in self.accepted:
                with suppress(aiohttp.ClientError, OSError, TimeoutError):
                    await self._send(session, name)
                await asyncio.sleep(0.02)

    async def _send(self, session: aiohttp.ClientSession, name: str) -> None:
        async with session.post(
            f"http://127.0.0.1:{self.port}/v1/notifications",
            data=mail(subject=name),
            headers=self._headers(name),
            timeout=aiohttp.ClientTimeout(5),
        ) as reply:
            if reply.status == 202:
                self.accepted[name] = UUID((await reply.json())["id"])
            else:
                self.refused[reply.status] += 1

    async def _leave_after_body(self, name: str) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        body = mail(subject=name)
        lines = [f"{field}: {value}" for field, value in self._headers(name).items()]
        head = ["POST /v1/notifications HTTP/1.1", "Host: x", f"Content-Length: {len(body)}"]
        writer.write("\r\n".join([*head, *lines, "", ""]).encode() + body)
        await writer.drain()
        writer.close()

    def _headers(self, name: str) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self.key}",
            "Content-Type": "application/json",
            "Idempotency-Key": name,
        }


@asynccontextmanager
async def api_process() -> AsyncIterator[asyncio.subprocess.Process]:
    """`tidings api`; killed at the end."""
    program = "from tidings.cli.main import main; main()"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, "api", stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def cut_off(*lines: Wire, seconds: float) -> None:
    """Neither can be reached for a while."""
    ports = [line.port for line in lines]
    for line in lines:
        await line.close()
    await asyncio.sleep(seconds)
    for line, port in zip(lines, ports, strict=True):
        await line.open(port)


async def listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def a_key(rig: SubmissionRig) -> str:
    async with PostgresLedger(rig.around.settings.ledger, actor="cli test") as ledger:
        backend = Backend(rig.around.settings, ledger)
        made = await keys.create(backend, ACTOR, keys.CreateKeyRequest("*", ("send",)))
    return made.secret


async def test_what_got_a_202_is_never_lost_and_nothing_is_sent_twice(
    rig: SubmissionRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    monkeypatch.setenv("TIDINGS_API_LISTEN", f"127.0.0.1:{port}")
    monkeypatch.setenv("TIDINGS_HTTP_PORT", "0")
    callers, channel = Callers(port, await a_key(rig)), ScriptedChannel()
    async with rig.around.working(channel), rig.around.scheduling():
        async with api_process():
            await eventually(lambda: listens(port), 30)
            sending = asyncio.create_task(callers.run())
            await eventually(lambda: len(callers.accepted) > REQUESTS // 5, 30)
            await cut_off(rig.broker, seconds=0.4)
            await cut_off(rig.database, seconds=0.4)
            await cut_off(rig.broker, rig.database, seconds=0.4)
        async with api_process():  # the first was killed
            await asyncio.wait_for(sending, 60)

        async def all_sent() -> bool:
            [row] = await rig.around.fetch(
                "SELECT count(*) FILTER (WHERE state = 'sent') AS n FROM notifications"
            )
            return row["n"] == REQUESTS

        await eventually(all_sent, 30)
        await eventually(rig.around.drained)
    sent = Counter(request.notification.id for request in channel.requests)
    assert set(sent) == set(callers.accepted.values())
    assert set(sent.values()) == {1}
    assert set(callers.refused) <= {409, 503}
    assert len(callers.accepted) == REQUESTS
