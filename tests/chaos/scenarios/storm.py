"""The long runs: many kills under a steady load, and faults drawn from a seed."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from time import time
from typing import Final

from tests.chaos.failpoints import STEPS
from tests.chaos.load import USUAL
from tests.chaos.roles import Role
from tests.chaos.scenario import scenario
from tests.chaos.verdict import Expectations
from tests.chaos.world import World

OFTEN: Final = tuple(step for step in STEPS if "republish" not in step)
"""The steps that every message comes to."""
SERVER_BACK: Final = 40.0
"""Seconds for a server that was killed to start, and for everybody to find it."""


@scenario(
    0,
    "storm",
    "workers killed all the time, servers now and then",
    "C, F, D, P",
    count=20_000,
    patience=180,
    mutant="ack-before-record",
)
async def storm(made: World) -> Expectations | None:
    """Kills evenly over the load: workers mostly, from outside or at a step; servers now and then."""
    await made.start_roles()
    kills, count = made.options.kills, made.options.count
    async with made.publishing() as load:
        for number in range(1, kills + 1):
            target = count * number // (kills + 2)
            await _reached(made, load, target)
            await _kill(made, number)
    for role in made.roles:
        if not role.running:
            await made.noted_death(role, "worker killed")
            await role.start()
    await made.recovers("the last kill")
    return None


async def _reached(made: World, load: asyncio.Task[None], target: int) -> None:
    """Wait for the producers; start what has ended itself meanwhile."""

    async def reached() -> bool:
        for worker in made.workers:
            if not worker.running:
                await made.noted_death(worker, "worker killed at a step")
                await worker.start()
        return made.load.confirmed >= target or load.done()

    await made.until(reached, f"{target} confirmed", 900)


async def _kill(made: World, number: int) -> None:
    if number % 25 == 0:
        await made.broker.settle()
        await made.kill_broker()
        await made.recovers("RabbitMQ killed", SERVER_BACK)
    elif number % 25 == 12:
        await made.kill_postgresql()
        await made.recovers("PostgreSQL killed", SERVER_BACK)
    elif number % 10 == 5:
        role = made.role(made.random.choice(("archive", "scheduler")))
        await role.kill()
        made.fault(f"{role.name} killed")
        await role.start()
    else:
        await _kill_worker(made, made.workers[number % len(made.workers)])


async def _kill_worker(made: World, worker: Role) -> None:
    """From outside; and half of them will end themselves at a step that is drawn now."""
    if worker.running:
        await worker.kill()
    await made.noted_death(worker, "worker killed")
    failpoint: dict[str, str] = {}
    if made.random.random() < 0.5:
        step, visit = made.random.choice(OFTEN), made.random.randint(500, 4000)
        failpoint = {"FAILPOINTS": f"{step}=kill@{visit}"}
    await worker.start(**failpoint)


@scenario(
    0,
    "random",
    "faults, times and load drawn from a seed",
    "C, F, D, P",
    relayed=["amqp", "database", "smtp"],
    patience=180,
)
async def at_random(made: World) -> Expectations | None:
    """As long as it is told: a rate for a while, a fault, a pause, and again."""
    await made.start_roles(made.random.randint(1, 3))
    ends = time() + made.options.seconds
    while time() < ends:
        rate = made.random.choice((50, 200, 600))
        count = int(rate * made.random.uniform(3, 8))
        made.sink.delay = made.random.choice((0.0, 0.0, 0.02, 0.2))
        async with made.publishing(made.writer(USUAL).items(count), rate=rate):
            for _ in range(made.random.randint(1, 3)):
                await asyncio.sleep(made.random.uniform(0.2, 1.5))
                fault = made.random.choice(FAULTS)
                await fault(made)
        await made.recovers("a fault", SERVER_BACK)
    made.sink.delay = 0.0
    return None


async def _worker_killed(made: World) -> None:
    await made.kill_worker(made.random.choice(made.workers))


async def _worker_ends_itself(made: World) -> None:
    worker, step = made.random.choice(made.workers), made.random.choice(OFTEN)
    await worker.kill()
    await made.noted_death(worker, "worker killed")
    await worker.start(FAILPOINTS=f"{step}=kill@{made.random.randint(1, 40)}")
    for _ in range(100):
        if not worker.running:
            await made.noted_death(worker, f"killed {step}")
            break
        await asyncio.sleep(0.05)
    else:  # there were not enough messages for it
        await worker.kill()
        await made.noted_death(worker, "worker killed")
    await worker.start()


async def _worker_stopped(made: World) -> None:
    worker = made.random.choice(made.workers)
    worker.signal(signal.SIGTERM)
    await worker.ended()
    made.fault("SIGTERM", await made.in_flight(f"%:{worker.pid}:%"))
    await worker.start()


async def _worker_frozen(made: World) -> None:
    """For longer than its leases last: others take over, and it goes on as if nothing had been."""
    worker = made.random.choice(made.workers)
    worker.signal(signal.SIGSTOP)
    await asyncio.sleep(made.random.choice((1, 7)))
    made.fault("worker frozen", await made.in_flight() + await _ever_held(made, worker))
    worker.signal(signal.SIGCONT)


async def _ever_held(made: World, worker: Role) -> int:
    """Most that it may have had in hand: what others took over meanwhile is theirs in the ledger."""
    del worker
    return int(made.env["TIDINGS_EMAIL_PREFETCH"])


async def _other_killed(made: World) -> None:
    role = made.role(made.random.choice(("archive", "scheduler")))
    await role.kill()
    made.fault(f"{role.name} killed")
    await role.start()


async def _broker_killed(made: World) -> None:
    await made.broker.settle()
    await made.kill_broker(down=made.random.uniform(0, 2))


async def _database_killed(made: World) -> None:
    await made.kill_postgresql(down=made.random.uniform(0, 2))


async def _wire_cut(made: World) -> None:
    name, before = made.random.choice(sorted(made.relays)), await made.in_flight()
    made.relays[name].cut()
    made.fault(f"{name} cut", before + await made.in_flight())


async def _wire_half_closed(made: World) -> None:
    name, before = made.random.choice(sorted(made.relays)), await made.in_flight()
    made.relays[name].half_close()
    made.fault(f"{name} half closed", before + await made.in_flight())


async def _wire_loses(made: World) -> None:
    name, before = made.random.choice(sorted(made.relays)), await made.in_flight()
    made.relays[name].lose()
    await asyncio.sleep(made.random.uniform(0.1, 2))
    made.relays[name].cut()
    made.fault(f"{name} lost data", before + await made.in_flight())


async def _wire_late(made: World) -> None:
    name = made.random.choice(sorted(made.relays))
    made.relays[name].delay = 0.05
    await asyncio.sleep(made.random.uniform(0.5, 2))
    made.relays[name].delay = 0.0
    made.fault(f"{name} late")


async def _provider_away(made: World) -> None:
    made.sink.refuse_all = True
    await asyncio.sleep(made.random.uniform(0.2, 0.8))
    made.sink.refuse_all = False
    made.fault("provider refused everybody")


FAULTS: Final[tuple[Callable[[World], Awaitable[None]], ...]] = (
    _worker_killed,
    _worker_killed,
    _worker_ends_itself,
    _worker_ends_itself,
    _worker_stopped,
    _worker_frozen,
    _other_killed,
    _broker_killed,
    _database_killed,
    _wire_cut,
    _wire_half_closed,
    _wire_loses,
    _wire_late,
    _provider_away,
)
