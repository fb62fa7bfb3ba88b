"""Faults of the workers: killed, stopped, frozen, crashing in a loop."""

import asyncio
import signal

from tests.chaos.failpoints import STEPS
from tests.chaos.load import PLAIN, USUAL
from tests.chaos.scenario import scenario
from tests.chaos.verdict import Expectations
from tests.chaos.world import World


@scenario(
    1,
    "killed-at-each-step",
    "a worker is killed at each step from claim to ack",
    "C, D",
    count=2700,
    mutant="ack-before-record",
)
async def killed_at_each_step(made: World) -> Expectations | None:
    """Each step in turn, at a visit drawn from the seed, while the load goes on."""
    await made.start_roles(0)
    worker = made.prepared("worker-0")
    each = max(10, made.options.count // len(STEPS))
    mix = {**USUAL, "plain": 68, "busy": 24}
    for step in STEPS:
        visit = made.random.randint(1, max(1, each // (10 if "republish" in step else 3)))
        async with made.publishing(made.writer(mix).items(each)):
            await worker.start(FAILPOINTS=f"{step}=kill@{visit}")
            code = await worker.ended()
        assert code == -signal.SIGKILL, f"{step}: ended with {code}: {worker.last_words()}"
        await made.noted_death(worker, f"killed {step}")
    await worker.start()
    await made.recovers("the last kill")
    return None


@scenario(
    12,
    "crash-loop",
    "a worker crashes 22 times with all in its hands that it takes at first",
    "C",
    count=1000,
    patience=120,
    mutant="no-dead-letter-exchange",
)
async def crash_loop(made: World) -> Expectations | None:
    """What was handed out too often becomes a dead letter, and is delivered when it is replayed."""
    await made.add("archive")
    await made.add("scheduler")
    await made.publish(made.options.count, PLAIN)
    looping = await made.add(
        "worker-0",
        ready=False,
        TIDINGS_EMAIL_PREFETCH="200",
        FAILPOINTS="before-claim=kill@1",
    )
    for _ in range(22):
        await looping.ended()
        made.fault("killed before-claim", 0)
        await looping.start()
    await looping.ended()
    looping.env.pop("FAILPOINTS")
    await looping.start()
    await looping.ready()
    await made.recovers("the crash loop")
    await made.until(made.nothing_left, "every message settled", 90)
    dead_letters = await made.fetch(
        "SELECT count(*) AS n FROM dead_letters WHERE reason = 'delivery_limit'"
    )
    made.notes.append(
        f"{dead_letters[0]['n']} dead letters with the reason delivery_limit, replayed"
    )
    assert dead_letters[0]["n"], "no message was handed out often enough: this run shows nothing"
    replayed = await made.tidings("replay", "--reason", "delivery_limit", "--yes")
    assert replayed.code == 0, replayed.out + replayed.err
    return None


@scenario(
    14,
    "sigterm-under-load",
    "workers are stopped with SIGTERM and started again under load",
    "C, D = 0",
    count=4000,
    mutant="no-grace",
)
async def sigterm_under_load(made: World) -> Expectations | None:
    """A rolling restart, again and again: nothing comes twice."""
    await made.start_roles()
    made.sink.delay = 0.05
    async with made.publishing():
        for _ in range(3):
            for worker in made.workers:
                await asyncio.sleep(made.random.uniform(0.2, 0.8))
                worker.signal(signal.SIGTERM)
                code = await worker.ended()
                assert code == 0, f"{worker.name} ended with {code}: {worker.last_words()}"
                made.fault("SIGTERM")
                await worker.start()
                await worker.ready()
    await made.recovers("the last restart")
    return Expectations(duplicates=0)
