"""Plays one seed from its beginning until everything is at rest, and says what is wrong then."""

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from uuid import UUID, uuid4

from tests.doubles.loop import Process, Stuck
from tests.simulation.invariants import violations
from tests.simulation.scenario import Order, draw
from tests.simulation.trace import Trace
from tests.simulation.world import Parts, World

from tidings.broker.publisher import BrokerPublisher
from tidings.delivery.errors import BrokerUnavailable, LedgerUnavailable, Refused
from tidings.ledger.dead_letters.policies import Policies
from tidings.operations.jobs.runner import publish_begun

LONGEST: float = 600.0
"""Virtual seconds within which everything has to come to rest."""


@dataclass(frozen=True, slots=True)
class Report:
    """How a seed went."""

    seed: int
    scenario: str
    violations: tuple[str, ...]
    fingerprint: str
    """The same for the same seed and the same code."""
    steps: int
    seconds: float
    """Virtual ones."""
    sendings: int
    states: tuple[str, ...]
    trace: Trace

    @property
    def command(self) -> str:
        """Shows what happened."""
        return f"python -m tests.simulation --seed {self.seed}"

    @property
    def summary(self) -> str:
        """In a line."""
        return (
            f"{', '.join(self.states)}; {self.sendings} sends, {self.steps} steps, "
            f"{self.seconds:.0f} virtual seconds, trace {self.fingerprint}"
        )

    def __str__(self) -> str:
        violations = (
            "\n".join(f"  {violation}" for violation in self.violations) or "  nothing is wrong"
        )
        return f"{self.scenario}\n{violations}\n{self.command}"


def simulate(seed: int, parts: Parts | None = None, *, aloud: bool = False) -> Report:
    """Play one seed.

    Args:
        parts: Broken ones, to see that it is found.
        aloud: Whether the trace has what the code logs.
    """
    scenario, dice = draw(seed)
    trace = Trace()
    before = random.getstate()
    random.seed(seed)  # jitter
    world = World(scenario, dice, parts or Parts(), trace)
    wrong: list[str] = []
    try:
        with trace.logging(aloud=aloud):
            wrong = _play(world)
    finally:
        with trace.logging(aloud=False):
            world.loop.abandon()
        random.setstate(before)
    rows = world.tables.notifications
    return Report(
        seed=seed,
        scenario=str(scenario),
        violations=tuple(wrong),
        fingerprint=trace.fingerprint(world.loop.steps),
        steps=world.loop.steps,
        seconds=world.loop.time(),
        sendings=len(world.provider.sendings),
        states=tuple(rows[id]["state"] for id in sorted(rows)),
        trace=trace,
    )


def _play(world: World) -> list[str]:
    try:
        world.loop.entered(world.begin)
        for order in world.scenario.orders:
            if order.cancel_at is not None:
                world.loop.entered(partial(_cancel, world, order))
        world.loop.run(world.at_rest, LONGEST)
        if world.scenario.replay:
            world.loop.entered(partial(_replay_all, world))
            world.loop.run(world.at_rest, world.loop.time() + LONGEST)
    except Stuck as stuck:
        return [f"P: {stuck}", *violations(world)]
    return violations(world)


def _cancel(world: World, order: Order) -> None:
    async def cancel(process: Process) -> None:
        async with world.ledger(process) as ledger:
            with suppress(Refused, LedgerUnavailable):
                await ledger.changes.cancel(order.id, actor=process.name, reason="a mistake")

    world.visit("operator", cancel, order.cancel_at or 0.0)


def _replay_all(world: World) -> None:
    """Two people at once, which must do no harm."""
    dead_letters = [id for id, row in world.tables.dead_letters.items() if row["state"] == "open"]
    for _ in range(2 if dead_letters else 0):
        world.visit("replay", partial(_replay, world, dead_letters))


async def _replay(world: World, dead_letters: list[UUID], process: Process) -> None:
    """As a job does it with a batch: again under the same name, until it is known to be begun."""
    run, expires_at = uuid4(), Policies(world.settings).expires_at
    async with world.ledger(process) as ledger, world.connection(process) as connection:
        publisher = BrokerPublisher(world.settings.broker, connection)
        replays = ledger.dead_letters.replays
        while True:
            try:
                begun = await replays.begin(
                    dead_letters, run, expires_at=expires_at, actor=process.name
                )
                await publish_begun(ledger, publisher, begun)
                await replays.finish()
            except (BrokerUnavailable, LedgerUnavailable):
                await asyncio.sleep(1.0)
            else:
                return
