"""The work for those that run on asyncio: an asyncpg pool, and SMTP connections that stay open."""

import asyncio
import time
from datetime import UTC, datetime

import aiosmtplib
import asyncpg

from benchmarks.peers.work import RECORD, SETTINGS, Mails, TemporaryFailure, columns, fails, read

STATEMENT = RECORD.format(
    "$1::uuid", "$2::text", "$3::text", "$4::text", "$5::text", "$6::jsonb", "$7::text",
    "$8::int", "$9::timestamptz", "$10::real",
)  # fmt: skip
DATABASE_CONNECTIONS = 8
SMTP_CONNECTIONS = 10


class Work:
    """Everything between a message and its ack."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._mails = Mails()
        self._relays: asyncio.Queue[aiosmtplib.SMTP | None] = asyncio.Queue()
        for _ in range(SMTP_CONNECTIONS):
            self._relays.put_nowait(None)

    @classmethod
    async def start(cls) -> "Work":
        """Connects to the database."""
        pool = await asyncpg.create_pool(
            SETTINGS.database_url, min_size=DATABASE_CONNECTIONS, max_size=DATABASE_CONNECTIONS
        )
        return cls(pool)

    async def do(self, text: str | bytes, attempt: int = 1) -> None:
        """One message; raises TemporaryFailure where it should be tried again."""
        notification = read(text)
        started_at, clock = datetime.now(UTC), time.perf_counter()
        failed = fails(notification, attempt)
        if not failed:
            await self._send(notification)
        state = "retrying" if failed else "sent"
        took = time.perf_counter() - clock
        await self._pool.execute(
            STATEMENT, *columns(notification, text, state, attempt, started_at, took)
        )
        if failed:
            raise TemporaryFailure

    async def _send(self, notification) -> None:
        if SETTINGS.slowness:
            await asyncio.sleep(SETTINGS.slowness)
        if SETTINGS.smtp_port:
            await self._hand_over(self._mails.mail(notification))

    async def _hand_over(self, mail) -> None:
        relay = await self._relays.get()
        try:
            if relay is None:
                relay = aiosmtplib.SMTP(
                    hostname="127.0.0.1", port=SETTINGS.smtp_port, use_tls=False, start_tls=False
                )
                await relay.connect()
            await relay.send_message(mail)
        except BaseException:
            relay = None
            raise
        finally:
            self._relays.put_nowait(relay)
