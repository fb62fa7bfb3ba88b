"""Faults of the servers behind the API: RabbitMQ and PostgreSQL are down, alone and together, or take nothing more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import asyncpg
from tests.chaos.callers import Callers, calling
from tests.chaos.disks import fill, tables_on_small_disk
from tests.chaos.evidence import looking
from tests.chaos.scenario import scenario
from tests.chaos.verdict import Expectations
from tests.chaos.world import World

CUT_OFF: Final = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
 WHERE backend_type = 'client backend' AND pid <> ALL($1) AND pid <> pg_backend_pid()
"""
"""Ends the sessions of everybody else."""
SERVER_BACK: Final = 40.0
"""Seconds for a server that was killed to start, and for everybody to find it."""
MEANWHILE: Final = 40
"""Notifications to be accepted while a server is away."""
REFUSED: Final = 10
"""Requests to be refused while both are."""


@scenario(
    41,
    "api-servers-down",
    "RabbitMQ is killed, then PostgreSQL, then both, while the API accepts",
    "C, F, D, P",
    count=1200,
    mutant="no-outbox",
)
async def api_servers_down(made: World) -> Expectations | None:
    """One is enough to accept; without both the answer is 503. What was accepted is sent when they are back."""
    await made.start_roles()
    async with calling(made) as callers:
        async with callers.submitting(seconds=40):
            await made.recovers("start")
            await made.broker.settle()
            await made.broker.kill()
            made.fault("RabbitMQ killed")
            await _accepts(made, callers, "RabbitMQ")
            await made.broker.revive()
            await made.recovers("RabbitMQ is back", SERVER_BACK)
            before = await made.in_flight()
            await asyncio.to_thread(made.servers.postgresql.kill)
            await _accepts(made, callers, "PostgreSQL")
            await asyncio.to_thread(made.servers.postgresql.start)
            made.fault("PostgreSQL killed", before + await made.in_flight())
            await made.recovers("PostgreSQL is back", SERVER_BACK)
            await _both_down(made, callers)
        await callers.settled()
    [row] = await made.fetch("SELECT count(*) AS n FROM outbox_entries")
    made.notes.append(f"{row['n']} through the outbox")
    assert row["n"], "nothing went through the outbox: this run shows nothing"
    return None


async def _both_down(made: World, callers: Callers) -> None:
    await made.broker.settle()
    before, refused = await made.in_flight(), callers.statuses[503]
    await asyncio.gather(made.broker.kill(), asyncio.to_thread(made.servers.postgresql.kill))
    await made.until(
        lambda: callers.statuses[503] >= refused + REFUSED, "refusals without either server", 30
    )
    await asyncio.gather(made.broker.revive(), asyncio.to_thread(made.servers.postgresql.start))
    made.fault("RabbitMQ and PostgreSQL killed", before + await made.in_flight())
    await made.recovers("both are back", SERVER_BACK)


async def _accepts(made: World, callers: Callers, away: str) -> None:
    """It still accepts, but for what that server alone decides."""
    enough = made.load.confirmed + MEANWHILE
    await made.until(lambda: made.load.confirmed >= enough, f"accepted without {away}", 30)


@scenario(
    42,
    "api-database-full",
    "the disk of the tables is full while the API accepts, then every connection to PostgreSQL is taken",
    "C, F, D, P",
    count=1000,
    mutant="not-published-alone",
)
async def api_database_full(made: World) -> Expectations | None:
    """What can't be stored is published alone, and stored by the worker once there is room."""
    async with tables_on_small_disk(made) as disk:
        await made.start_roles()
        async with calling(made) as callers:
            async with callers.submitting(seconds=30):
                await made.recovers("start")
                for fault, broken, words in (
                    ("a full disk", _filled(disk), "No space left on device"),
                    ("too many connections", _taken(made), "too many clients"),
                ):
                    await _refusing(made, callers, fault, broken, words)
            await callers.settled()
    return None


async def _refusing(
    made: World,
    callers: Callers,
    fault: str,
    broken: AbstractAsyncContextManager[None],
    words: str,
) -> None:
    """PostgreSQL answers meanwhile, and stores nothing: an API is told so, and notifications are accepted after that.

    A table that several sessions have made longer at once has room for hundreds of rows: until that is taken, a full disk
    hurts nobody.
    """

    def refused() -> bool:
        return any(words in api.log.read_text() for api in callers.apis)

    before = await made.in_flight()
    async with broken:
        await made.until(refused, f"an API that is told {words!r}", 30)
        await _accepts(made, callers, "PostgreSQL")
    made.fault(fault, before + await made.in_flight())
    await made.recovers(fault)


@asynccontextmanager
async def _filled(disk: Path) -> AsyncIterator[None]:
    filler = disk / "filler"
    await asyncio.to_thread(fill, filler)
    try:
        yield
    finally:
        filler.unlink()


@asynccontextmanager
async def _taken(made: World) -> AsyncIterator[None]:
    """We have every connection there may be."""
    ours: list[asyncpg.Connection] = []
    try:
        others = 1
        while others:
            with suppress(asyncpg.TooManyConnectionsError):
                while True:
                    ours.append(await looking(made.database_url))
            others = await ours[0].fetchval(CUT_OFF, [each.get_server_pid() for each in ours])
        yield
    finally:
        for each in ours:
            each.terminate()
