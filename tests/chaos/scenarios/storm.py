"""Many kills under a steady load: the long run."""

from typing import Final

from tests.chaos.checker import Expectations
from tests.chaos.roles import Role
from tests.chaos.scenario import scenario
from tests.chaos.scenarios.workers import STEPS
from tests.chaos.world import World

OFTEN: Final = tuple(step for step in STEPS if "republish" not in step)


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
    """Kills evenly over the load: workers mostly, by failpoints or from outside; servers now and then."""
    await made.start_roles(TIDINGS_LOG_LEVEL="warning")
    kills, count = made.options.kills, made.options.count
    async with made.publishing():
        for number in range(1, kills + 1):
            target = count * number // (kills + 2)
            await made.until(
                lambda target=target: made.load.confirmed >= target, f"{target} confirmed", 600
            )
            await _kill(made, number)
    await made.recovers("the last kill")
    return None


async def _kill(made: World, number: int) -> None:
    if number % 25 == 0:
        await made.broker.settle()
        await made.kill_broker()
        await made.recovers("RabbitMQ killed", 30)
    elif number % 25 == 12:
        await made.kill_postgresql()
        await made.recovers("PostgreSQL killed", 30)
    elif number % 10 == 5:
        role = made.role(made.random.choice(("archive", "scheduler")))
        await role.kill()
        made.fault(f"{role.name} killed")
        await role.start()
    else:
        await _kill_worker(made, made.workers[number % len(made.workers)])


async def _kill_worker(made: World, worker: Role) -> None:
    """From outside; or it has ended itself at a step drawn for it when it was last started."""
    if worker.running:
        await worker.kill()
    await made.noted_death(worker, "worker killed")
    failpoint: dict[str, str] = {}
    if made.random.random() < 0.5:
        step = made.random.choice(OFTEN)
        failpoint = {"TIDINGS_FAILPOINTS": f"{step}=kill@{made.random.randint(500, 4000)}"}
    await worker.start(**failpoint)
