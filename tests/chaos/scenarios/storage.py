"""Faults of what remembers: PostgreSQL, and a cluster of RabbitMQ."""

import asyncio
import json
import os
import signal
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import time
from typing import Final
from urllib.parse import urlsplit

from tests.chaos.disks import fill, full, tables_on_small_disk
from tests.chaos.evidence import Recovery
from tests.chaos.scenario import scenario
from tests.chaos.verdict import Expectations
from tests.chaos.world import LANE, World

CUT_OFF: Final = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'"
LOCKED: Final = 7
"""Seconds: longer than `TIDINGS_DATABASE_TIMEOUT` in these runs."""
REPAIRED: Final = 10.0
"""Seconds after which everything works again, once the database takes writes."""


@scenario(
    7,
    "leader-killed",
    "the leader of a lane is killed in a cluster of three, another node cut off",
    "C, P",
    count=2000,
    cluster=True,
    mutant="single-replica",
)
async def leader_killed(made: World) -> Expectations | None:
    """The node that leads the lane is killed, then another one hears and says nothing for a while."""
    await made.start_roles()
    async with made.publishing(rate=300):
        await made.recovers("start")
        leader = await made.broker.leader_of(LANE)
        await made.broker.kill(leader)
        made.fault("leader killed", await made.in_flight())
        await made.recovers("leader killed", 40)
        await made.broker.revive(leader)
        cut_off = made.broker.nodes[(leader + 1) % 3]
        assert cut_off.pid is not None
        await _frozen(made, cut_off.pid)
        await made.recovers("a node cut off", 60)
    return None


async def _frozen(made: World, pid: int) -> None:
    """Stop a process where it is for longer than the others wait for it, and than leases last."""
    os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(1)
    made.fault("node frozen", await made.in_flight())
    await asyncio.sleep(7)
    os.kill(pid, signal.SIGCONT)


@scenario(
    11,
    "postgresql-restarts",
    "PostgreSQL is killed inside batch commits, and commits lose their replies",
    "C, no ack before commit",
    count=3000,
    relayed=["database"],
    mutant="ack-before-record",
)
async def postgresql_restarts(made: World) -> Expectations | None:
    """Nothing is acknowledged that is not committed; what was committed unheard is not sent again."""
    await made.start_roles()
    made.sink.delay = 0.02
    relay = made.relays["database"]
    async with made.publishing(rate=made.options.count / 15) as load:
        for number in range(4):
            await made.until(lambda: made.sink.in_hand > 5 or load.done(), "sends under way")
            if number % 2:
                relay.hold_replies()
                await asyncio.sleep(0.1)
                relay.cut()
                relay.let_go()
                made.fault("replies of the database lost", await made.in_flight())
            else:
                await _killed_with_a_worker(made)
            began = time()
            await made.recovers("the database is back")
            made.recoveries.append(Recovery("database", time() - began, 20))
    return None


async def _killed_with_a_worker(made: World) -> None:
    """The database goes first: what the worker has sent since can't be recorded when it dies."""
    in_flight, worker = await made.in_flight(), made.workers[0]
    await asyncio.to_thread(made.servers.postgresql.kill)
    await asyncio.sleep(made.random.uniform(0.2, 1))
    await worker.kill()
    await asyncio.to_thread(made.servers.postgresql.start)
    made.fault("PostgreSQL killed, then a worker", in_flight + await made.in_flight())
    await worker.start()


@scenario(
    20,
    "database-demoted",
    "the database's name leads to a server that takes no writes, then to one that does",
    "C, P",
    count=2000,
    mutant="keeps-connections",
)
async def database_demoted(made: World) -> Expectations | None:
    """Who connects meanwhile gets a session that can't write; afterwards nobody may keep one."""
    await made.start_roles()
    database = urlsplit(made.database_url).path.removeprefix("/")
    psql = partial(asyncio.to_thread, made.servers.postgresql.psql)
    async with made.publishing(rate=made.options.count / 20):
        await made.recovers("start")
        in_flight = await made.in_flight()
        await psql(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
        await psql(CUT_OFF.format(database))
        await asyncio.sleep(made.random.uniform(3, 6))
        await psql(f"ALTER DATABASE {database} RESET default_transaction_read_only")
        made.fault("database demoted", in_flight + await made.in_flight())
        await made.recovers("database promoted", REPAIRED)
        await asyncio.sleep(REPAIRED)
        repaired = datetime.now(UTC)
        await made.delivered(made.sink.total + made.options.count // 20)
        late = sum(_refused_since(role.log, repaired) for role in made.roles)
        assert not late, f"{late} statements still went to a server that takes no writes"
    return None


def _refused_since(log: Path, moment: datetime) -> int:
    lines = (json.loads(line) for line in log.read_text().splitlines() if "read-only" in line)
    return sum(datetime.fromisoformat(line["timestamp"]) > moment for line in lines)


@scenario(
    22,
    "database-slow",
    "statements wait for a lock longer than they may, then are cancelled by a time limit of the server's",
    "C, D, P",
    count=2000,
    mutant="ack-before-record",
)
async def database_slow(made: World) -> Expectations | None:
    """A statement that was given up may have been carried out; what it was for is done once all the same."""
    await made.start_roles()
    database = urlsplit(made.database_url).path.removeprefix("/")
    psql = partial(asyncio.to_thread, made.servers.postgresql.psql)
    async with made.publishing(rate=made.options.count / 20):
        await made.recovers("start")
        before = await made.in_flight()
        await psql(f"BEGIN; LOCK TABLE notifications; SELECT pg_sleep({LOCKED}); COMMIT", database)
        made.fault("table locked", before + await made.in_flight())
        await made.recovers("table locked")
        before = await made.in_flight()
        await psql(f"ALTER DATABASE {database} SET statement_timeout = '2ms'")
        await psql(CUT_OFF.format(database))
        worker = made.workers[0]
        await worker.kill()  # what it had in flight meets the same limit
        await asyncio.sleep(made.random.uniform(2, 4))
        made.fault("statements cancelled, a worker killed", before + await made.in_flight())
        await psql(f"ALTER DATABASE {database} RESET statement_timeout")
        await psql(CUT_OFF.format(database))
        await worker.start()
        await made.recovers("statements cancelled")
    return None


@scenario(
    29,
    "database-disk-full",
    "the disk of the tables is full, a worker is killed, and there is room again",
    "C, P",
    count=2000,
    mutant="ack-before-record",
)
async def database_disk_full(made: World) -> Expectations | None:
    """What can't be recorded is not acknowledged, and what waits is neither an attempt nor a dead letter."""
    async with tables_on_small_disk(made) as disk:
        await made.start_roles()
        await _full_twice(made, disk)
        await made.until(made.nothing_left, "every message settled", 60)
    logs = [role.log.read_text() for role in made.roles]
    assert any("No space left on device" in log for log in logs), "nobody met the full disk"
    return None


async def _full_twice(made: World, disk: Path) -> None:
    """Each worker dies in the middle of its sends while no outcome can be recorded."""
    async with made.publishing(rate=made.options.count / 25):
        await made.recovers("start")
        filler = disk / "filler"
        made.sink.delay = 1.0
        for worker in made.workers:
            await made.until(lambda: made.sink.in_hand > 5, "sends under way")
            in_flight = await made.in_flight()
            await asyncio.to_thread(fill, filler)
            await made.until(lambda: full(disk), "the disk of the tables is full")
            await asyncio.sleep(made.random.uniform(0.2, 0.8))
            await worker.kill()
            made.fault("disk full, a worker killed", in_flight + await made.in_flight())
            await asyncio.sleep(made.random.uniform(2, 4))
            filler.unlink()
            await worker.start()
            await made.recovers("room on the disk of the tables")
        made.sink.delay = 0.0
