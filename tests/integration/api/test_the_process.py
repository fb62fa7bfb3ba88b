"""`tidings api` as a process: it serves without RabbitMQ, and at a signal finishes the requests in progress."""

import asyncio
import json
import signal
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from tests.support.api_rig import ApiRig
from tests.support.ledger_rig import settings_of
from tests.support.processes import running
from tests.support.worker_rig import eventually

from tidings.ledger import PostgresLedger
from tidings.operations import keys
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.keys import CreateKeyRequest
from tidings.settings import Settings
from tidings_local.ports import free_port

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


def environment(database_url: str, port: int) -> dict[str, str]:
    return {
        "TIDINGS_DATABASE_URL": database_url,
        "TIDINGS_AMQP_URL": "amqp://127.0.0.1:1",
        "TIDINGS_API_LISTEN": f"127.0.0.1:{port}",
    }


async def a_key(database_url: str) -> str:
    async with PostgresLedger(settings_of(database_url), actor="test") as ledger:
        backend = Backend(Settings(), ledger)
        made = await keys.create(
            backend, Actor("cli", "ada@desk"), CreateKeyRequest("*", ("read",))
        )
    return made.secret


@asynccontextmanager
async def held_up(
    database_url: str, port: int
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncpg.Connection]]:
    """A request that waits for PostgreSQL until the given connection ends its transaction."""
    key = await a_key(database_url)
    holder, watching = await asyncpg.connect(database_url), await asyncpg.connect(database_url)
    await holder.execute("BEGIN")
    await holder.execute("LOCK TABLE schedules IN ACCESS EXCLUSIVE MODE")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def waits() -> bool:
        return bool(await watching.fetchval(WAITING))

    head = f"GET /v1/schedules HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\n\r\n"
    writer.write(head.encode())
    try:
        await eventually(waits)
        yield reader, holder
    finally:
        writer.close()
        await holder.close()
        await watching.close()


async def refused(port: int) -> bool:
    """Whether a new connection is."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


async def test_at_a_signal_it_finishes_the_requests_in_progress_and_refuses_new_connections(
    database_url: str, tmp_path: Path
) -> None:
    port = free_port()
    async with running(
        "api", env=environment(database_url, port), log=tmp_path / "api.log"
    ) as role:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /v1/channels HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 401 ")
        writer.close()
        async with held_up(database_url, port) as (reader, holder):
            role.signal(signal.SIGTERM)
            await eventually(lambda: refused(port))
            assert role.process.returncode is None
            await holder.execute("COMMIT")
            answer = await reader.read()
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["data"] == []
        assert await role.ended(within=20) == 0


async def test_it_ends_after_the_grace_even_if_a_request_goes_on(
    database_url: str, tmp_path: Path
) -> None:
    port = free_port()
    env = {**environment(database_url, port), "TIDINGS_GRACE": "1s"}
    async with (
        running("api", env=env, log=tmp_path / "api.log") as role,
        held_up(database_url, port) as (reader, _),
    ):
        role.signal(signal.SIGTERM)
        assert await role.ended(within=8) == 0
        assert not (await reader.read()).startswith(b"HTTP/1.1 200 ")


async def test_its_log_names_nobody_whom_a_request_names(database_url: str, tmp_path: Path) -> None:
    port, key = free_port(), await a_key(database_url)
    env = {**environment(database_url, port), "TIDINGS_LOG_LEVEL": "debug"}
    async with running("api", env=env, log=tmp_path / "api.log") as role:
        for path, status in (
            ("/v1/notifications?recipient=ada%40example.com&user_id=ada-4711", 200),
            ("/v1/notifications?recipient=ada@example.com&limit=many", 422),
            ("/v1/ada-4711?recipient=ada@example.com", 404),
            ("/console/notifications?user_id=ada-4711", 303),
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = f"GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode())
            assert (await reader.read()).startswith(f"HTTP/1.1 {status} ".encode()), path
            writer.close()
        role.signal(signal.SIGTERM)
        assert await role.ended(within=20) == 0
    log = (tmp_path / "api.log").read_text()
    assert "API listening" in log
    assert "ada" not in log.replace("ada@desk", "")


@pytest.mark.asyncio(loop_scope="module")
async def test_an_answer_on_a_kept_connection_does_not_wait_for_an_acknowledgement(
    api: ApiRig,
) -> None:
    seconds = []
    for _ in range(15):
        began = time.perf_counter()
        assert (await api.ask("GET", "/healthz")).status == 200
        seconds.append(time.perf_counter() - began)
    assert statistics.median(seconds) < 0.03  # a client delays an acknowledgement for 40 ms
