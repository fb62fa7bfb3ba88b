"""What a scenario is, and how one is run: break things, heal them, let it drain, check."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import time
from typing import Any, Final

from tests.chaos.checker import check
from tests.chaos.installation import world
from tests.chaos.report import as_data
from tests.chaos.servers import Servers
from tests.chaos.verdict import Expectations, Verdict, Violation
from tests.chaos.world import Options, World

Play = Callable[[World], Awaitable[Expectations | None]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A way of breaking things."""

    number: int
    name: str
    title: str
    """One line for the report."""
    checks: str
    """The invariants it is about."""
    play: Play
    count: int = 2000
    """Notifications, unless told otherwise."""
    cluster: bool = False
    relayed: Sequence[str] = ()
    patience: float = 90.0
    """Seconds within which everything has to have ended, at the usual count."""
    mutant: str | None = None
    """The protection that, taken out, makes it fail: see mutants.py."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one run."""

    scenario: Scenario
    options: Options
    verdict: Verdict
    seconds: float
    faults: Mapping[str, int]
    """By kind, how many."""
    notes: Sequence[str] = ()
    error: str = ""
    """Why the run itself failed."""
    harness_failed: bool = False
    """Whether it failed of something else than a claim that does not hold."""
    rate: float = 0.0
    """Notifications per second, from the first confirm to the last delivery."""

    @property
    def passed(self) -> bool:
        """Whether the run came to its end and every invariant held."""
        return not self.error and self.verdict.passed

    @property
    def could_not_be_played(self) -> bool:
        """Whether the harness failed, not the product: nothing that is claimed is known not to hold."""
        return self.harness_failed and self.verdict.passed

    def as_data(self) -> dict[str, Any]:
        """For a report."""
        return {
            "number": self.scenario.number,
            "name": self.scenario.name,
            "title": self.scenario.title,
            "checks": self.scenario.checks,
            "seed": self.options.seed,
            "count": self.options.count,
            "mutant": self.options.mutant,
            "seconds": round(self.seconds, 1),
            "rate": round(self.rate),
            "faults": dict(self.faults),
            "notes": list(self.notes),
            "error": self.error,
            "folder": str(self.options.folder),
            **as_data(self.verdict),
            "passed": self.passed,
        }


REGISTRY: Final[dict[str, Scenario]] = {}


def scenario(
    number: int, name: str, title: str, checks: str, **fields: Any
) -> Callable[[Play], Play]:
    """Register a scenario."""

    def register(play: Play) -> Play:
        REGISTRY[name] = Scenario(number, name, title, checks, play, **fields)
        return play

    return register


EMPTY: Final = Verdict((), 0, {}, 0, 0, 0, 0, 0.0)


async def run(servers: Servers, chosen: Scenario, options: Options) -> Result:
    """Run one scenario on servers that are up; whatever goes wrong is in the result."""
    began = time()
    try:
        return await _run(servers, chosen, options)
    except Exception as failure:  # noqa: BLE001  # the next scenario is run all the same
        return Result(chosen, options, EMPTY, time() - began, {}, (), _told(failure))


async def _run(servers: Servers, chosen: Scenario, options: Options) -> Result:
    began, error, verdict, harness_failed = time(), "", EMPTY, False
    async with world(servers, options, cluster=chosen.cluster, relayed=chosen.relayed) as made:
        try:
            expected = await chosen.play(made) or Expectations()
            await _wind_up(made, chosen)
        except Exception as failure:  # noqa: BLE001  # whatever it was, the evidence is looked at
            error = _told(failure)
            harness_failed = not isinstance(failure, AssertionError | ExceptionGroup)
            expected = Expectations()
        try:
            await _heal(made)
            verdict = await asyncio.to_thread(check, await made.evidence(), expected)
        except Exception as failure:  # noqa: BLE001  # likewise
            error = error or _told(failure)
        result = Result(
            chosen,
            options,
            _with_exits(verdict, made),
            time() - began,
            _counted(made),
            tuple(made.notes),
            error,
            harness_failed,
            _rate(made),
        )
        if not result.passed:
            await made.keep()
    return result


async def _wind_up(made: World, chosen: Scenario) -> None:
    """Everything is healed: let it end, and stop it in good order."""
    count = made.options.count
    await made.drained(chosen.patience + count / 400)
    await made.stop_roles()


async def _heal(made: World) -> None:
    """Where a run failed half-way its servers may be down."""
    await asyncio.to_thread(made.servers.postgresql.start)
    for place, node in enumerate(made.broker.nodes):
        if not node.running():
            await made.broker.revive(place)


def _with_exits(verdict: Verdict, made: World) -> Verdict:
    """A role that did not end in good order is a violation of its own."""
    ended = tuple(note for note in made.notes if " ended with " in note)
    if not ended:
        return verdict
    wrong = Violation("P", "a role did not end with 0 at SIGTERM", len(ended), ended)
    return replace(verdict, violations=(*verdict.violations, wrong))


def _counted(made: World) -> dict[str, int]:
    counts: dict[str, int] = {}
    for fault in made.faults:
        counts[fault.kind] = counts.get(fault.kind, 0) + 1
    return counts


def _rate(made: World) -> float:
    spent = made.sink.last_taken - made.load.first_at
    return made.sink.total / spent if spent > 0 else 0.0


def _told(failure: BaseException) -> str:
    lines = traceback.format_exception_only(failure)
    if isinstance(failure, BaseExceptionGroup):
        lines += [
            line for error in failure.exceptions for line in traceback.format_exception_only(error)
        ]
    frames = traceback.extract_tb(failure.__traceback__)
    where = next((it for it in reversed(frames) if "chaos" in it.filename), None)
    place = f" (line {where.lineno} of {where.name})" if where else ""
    return "".join(lines).strip() + place


__all__ = ["REGISTRY", "Expectations", "Result", "Scenario", "World", "field", "run", "scenario"]
