"""Faults of what remembers: PostgreSQL, and a cluster of RabbitMQ."""

import asyncio
import os
import signal
from time import time

from tests.chaos.evidence import Recovery
from tests.chaos.scenario import scenario
from tests.chaos.verdict import Expectations
from tests.chaos.world import LANE, World


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
