"""Faults around inboxes: whatever is killed, every client ends with what is stored, and no badge is wrong on the way."""

import asyncio
import signal
from typing import Final

from tests.chaos.followers import Followed, followed
from tests.chaos.roles import Role
from tests.chaos.scenario import scenario
from tests.chaos.verdict import Expectations
from tests.chaos.world import World

KILLS: Final = 6
ROUNDS: Final = 2
KNOWN: Final = 5.0
"""Seconds until every client is connected to a process that is there, and knows all."""
WITHOUT_HINTS: Final = 4.0
"""Seconds until every client knows of a change that no hint tells of: processes look every second."""
SERVER_BACK: Final = 30.0
"""Seconds for a server that was killed to start, and for everybody to find it."""
STEPS: Final = ("during-send", "after-send", "after-record", "before-ack")


@scenario(
    45,
    "inbox-api-killed",
    "API processes are killed under live connections, one or both, while inboxes change",
    "inbox, C, D = 0, P",
    mutant="resumes-at-head",
)
async def inbox_api_killed(made: World) -> Expectations | None:
    """A client resumes with its revision in whatever process is there."""
    async with followed(made) as inboxes:
        await made.start_roles(1)
        await inboxes.catch_up("start", KNOWN)
        for number in range(KILLS):
            await asyncio.sleep(made.random.uniform(0.3, 0.9))
            await _killed(made, inboxes.apis if number % 3 == 2 else [inboxes.apis[number % 2]])
            await inboxes.catch_up("API killed", SERVER_BACK)
        await inboxes.settled()
    return Expectations(duplicates=0)


async def _killed(made: World, roles: list[Role]) -> None:
    for role in roles:
        await role.kill()
        made.fault(f"{role.name.partition('-')[0]} killed")
    await asyncio.gather(*(role.start() for role in roles))
    await asyncio.gather(*(role.ready() for role in roles))


@scenario(
    46,
    "inbox-servers-down",
    "RabbitMQ is killed, then PostgreSQL, under live connections while inboxes change",
    "inbox, C, D = 0, P",
    mutant="looks-never",
)
async def inbox_servers_down(made: World) -> Expectations | None:
    """Without RabbitMQ changes come a second later; without PostgreSQL clients wait, and miss nothing."""
    async with followed(made) as inboxes:
        await made.start_roles(1)
        await inboxes.catch_up("start", KNOWN)
        await made.broker.settle()
        await made.broker.kill()
        made.fault("RabbitMQ killed")
        await asyncio.sleep(1)  # what was still announced has arrived
        for _ in range(2):
            await inboxes.catch_up("RabbitMQ is away", WITHOUT_HINTS)
        await made.broker.revive()
        await inboxes.catch_up("RabbitMQ is back", SERVER_BACK)
        await made.kill_postgresql(made.random.uniform(0.5, 1.5))
        await inboxes.catch_up("PostgreSQL is back", SERVER_BACK)
        await asyncio.to_thread(made.servers.postgresql.stop)
        await asyncio.to_thread(made.servers.postgresql.start)
        made.fault("PostgreSQL restarted")
        await inboxes.catch_up("PostgreSQL was restarted", SERVER_BACK)
        await inboxes.settled()
    return Expectations(duplicates=0)


@scenario(
    47,
    "inbox-worker-killed",
    "a worker is killed while it delivers to inboxes, before and after the record of it",
    "inbox, C, D = 0",
    mutant="redelivered-as-new",
)
async def inbox_worker_killed(made: World) -> Expectations | None:
    """What is in the inbox already is delivered again, and is there once."""
    async with followed(made) as inboxes:
        await made.add("scheduler")
        await made.add("archive")
        worker = made.prepared("worker-0")
        for step in STEPS:
            await worker.start(FAILPOINTS=f"{step}=kill@{made.random.randint(5, 40)}")
            code = await worker.ended()
            assert code == -signal.SIGKILL, f"{step}: ended with {code}: {worker.last_words()}"
            made.fault(f"killed {step}")
        await worker.start()
        await worker.ready()
        await inboxes.settled()
    return Expectations(duplicates=0)


@scenario(
    48,
    "inbox-all-at-once",
    "both APIs, the worker, the scheduler, RabbitMQ and PostgreSQL are killed at once under live connections",
    "inbox, C, D = 0, P",
    mutant="revision-before-change",
)
async def inbox_all_at_once(made: World) -> Expectations | None:
    """As after a power failure, twice."""
    async with followed(made) as inboxes:
        await made.start_roles(1)
        await inboxes.catch_up("start", KNOWN)
        for _ in range(ROUNDS):
            await asyncio.sleep(made.random.uniform(0.5, 1.5))
            await _all_killed(made, inboxes)
            await inboxes.catch_up("everything is back", SERVER_BACK)
        await inboxes.settled()
    return Expectations(duplicates=0)


async def _all_killed(made: World, inboxes: Followed) -> None:
    await made.broker.settle()
    roles = [*inboxes.apis, *made.workers, made.role("scheduler")]
    await asyncio.gather(
        *(role.kill() for role in roles),
        made.broker.kill(),
        asyncio.to_thread(made.servers.postgresql.kill),
    )
    made.fault("everything killed")
    await asyncio.gather(
        made.broker.revive(),
        asyncio.to_thread(made.servers.postgresql.start),
        *(role.start() for role in roles),
    )
    await asyncio.gather(*(role.ready() for role in roles))
