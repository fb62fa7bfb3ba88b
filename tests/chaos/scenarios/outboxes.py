"""Faults of the outboxes, the API's and that of a producer: who publishes from them is killed before it hears of it."""

import asyncio
from collections.abc import Sequence
from itertools import islice
from typing import Final

import asyncpg
from tests.chaos.callers import PATIENT, Callers, calling
from tests.chaos.evidence import looking
from tests.chaos.load import Item
from tests.chaos.roles import Role
from tests.chaos.scenario import scenario
from tests.chaos.verdict import Expectations
from tests.chaos.world import World
from tests.support.relay import Relay

NOWHERE: Final = "amqp://127.0.0.1:1"
"""Where nobody listens."""
WAYS: Final = ("stalled", "unheard", "cut") * 2
"""How the wire of a scheduler is when it dies: nothing leads through, no confirm comes back, or it breaks."""
TAKEN: Final = """
SELECT EXISTS (SELECT FROM outbox_entries e JOIN notifications n ON n.id = e.notification_id
                WHERE (n.state, n.attempt) = ('queued', 0) AND coalesce(n.dispatch_at > now(), true)) AS found
"""
KILLS: Final = 6
ROWS: Final = 5
"""Notifications of a producer's transaction, at most."""
PRODUCERS: Final = 8
ROLLED_BACK: Final = 0.1
"""Part of the transactions."""
PACE: Final = 0.3
"""Seconds between two transactions of one producer."""


@scenario(
    43,
    "outbox-scheduler-killed",
    "schedulers are killed while they publish what the API accepted without RabbitMQ",
    "C, F, D = 0",
    count=600,
    relayed=["amqp"],
    mutant="takes-for-good",
)
async def outbox_scheduler_killed(made: World) -> Expectations | None:
    """What one has taken another one publishes; what was published already is recognised."""
    direct = ",".join(made.broker.urls())
    for name in ("archive", "worker-0", "worker-1"):
        await made.add(name, ready=False, TIDINGS_AMQP_URL=direct, **PATIENT)
    scheduler, each = await made.add("scheduler"), made.options.count // (len(WAYS) + 1)
    rabbitmq = made.broker.urls()[0]
    async with (
        Relay(rabbitmq) as wire,
        calling(made, TIDINGS_AMQP_URL=wire.url) as callers,
    ):
        wire.lead_to(NOWHERE)
        wire.cut()
        for way in WAYS:
            await _killed(made, callers, scheduler, way, each)
        wire.lead_to(rabbitmq)
        await callers.submit(each, 1)
        await made.recovers("RabbitMQ is back")
        await callers.settled()
    return Expectations(duplicates=0)


async def _killed(made: World, callers: Callers, scheduler: Role, way: str, count: int) -> None:
    """A scheduler that works through a wire dies with something of the outbox in its hands."""
    wire, sent = made.relays["amqp"], made.sink.total
    async with asyncio.TaskGroup() as submitting:
        submitting.create_task(callers.submit(count, 1))
        match way:
            case "stalled":
                wire.stall()
                await made.until(lambda: _any_taken(made), "entries taken", 30)
            case "unheard":
                wire.hold_replies()
                await made.until(lambda: made.sink.total > sent, "entries published", 30)
            case _:
                await made.until(lambda: made.sink.total > sent, "entries published", 30)
                wire.cut()
        await scheduler.kill()
        made.fault(f"scheduler killed, its wire {way}")
        wire.go_on()
        wire.let_go()
        await scheduler.start()
    await scheduler.ready()
    await made.recovers(f"scheduler killed, its wire {way}")


async def _any_taken(made: World) -> bool:
    [row] = await made.fetch(TAKEN)
    return bool(row["found"])


@scenario(
    44,
    "outbox-relay-killed",
    "two relays of a producer's outbox are killed in turn while what they publish gets lost",
    "C, F, D = 0",
    count=1200,
    relayed=["amqp"],
    mutant="relay-without-confirm",
)
async def outbox_relay_killed(made: World) -> Expectations | None:
    """What a producer's transaction has committed is sent once; what it has rolled back never is."""
    direct = ",".join(made.broker.urls())
    await made.start_roles(TIDINGS_AMQP_URL=direct, **PATIENT)
    installed = await made.tidings("outbox", "install", "--dsn", made.database_url)
    assert installed.code == 0, installed.err
    relaying = ("outbox", "relay", "--dsn", made.database_url)
    relays = [await made.add(f"relay-{number}", *relaying) for number in range(2)]
    over = asyncio.Event()
    async with asyncio.TaskGroup() as producers:
        for _ in range(PRODUCERS):
            producers.create_task(_commit_until(made, over))
        for number in range(KILLS):
            await asyncio.sleep(made.random.uniform(0.2, 0.6))
            made.relays["amqp"].lose()
            await asyncio.sleep(0.2)
            relay = relays[number % 2]
            await relay.kill()
            made.fault("relay killed, what it published lost")
            await relay.start()
            await relay.ready()
        over.set()
    await made.recovers("the last kill")

    async def empty() -> bool:
        [row] = await made.fetch("SELECT count(*) AS n FROM tidings_outbox")
        return not row["n"]

    await made.until(empty, "an empty outbox", 30)
    return Expectations(duplicates=0)


async def _commit_until(made: World, over: asyncio.Event) -> None:
    """The transactions of a producer: what one has committed is promised to it."""
    connection, items = await looking(made.database_url), made.writer().items(made.options.count)
    try:
        while not over.is_set():
            rows = list(islice(items, made.random.randint(1, ROWS)))
            commits = made.random.random() >= ROLLED_BACK
            await _insert(connection, rows, commits=commits)
            for row in rows if commits else []:
                made.load.promised(row)
            await asyncio.sleep(PACE)
    finally:
        await connection.close()


async def _insert(connection: asyncpg.Connection, items: Sequence[Item], *, commits: bool) -> None:
    transaction = connection.transaction()
    await transaction.start()
    bodies = [(item.body.decode(),) for item in items]
    await connection.executemany("INSERT INTO tidings_outbox (body) VALUES ($1)", bodies)
    await (transaction.commit() if commits else transaction.rollback())
