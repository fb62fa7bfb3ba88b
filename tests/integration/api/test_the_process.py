"""`tidings api` as a process: it serves without RabbitMQ, and ends at a signal."""

import asyncio
import signal
from pathlib import Path

from tests.support.processes import free_port, running


async def test_it_serves_and_ends_at_a_signal(database_url: str, tmp_path: Path) -> None:
    port = free_port()
    env = {
        "TIDINGS_DATABASE_URL": database_url,
        "TIDINGS_AMQP_URL": "amqp://127.0.0.1:1",
        "TIDINGS_API_LISTEN": f"127.0.0.1:{port}",
    }
    async with running("api", env=env, log=tmp_path / "api.log") as role:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /v1/channels HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 401 ")
        writer.close()
        role.signal(signal.SIGTERM)
        assert await role.ended(within=20) == 0
