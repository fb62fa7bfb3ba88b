"""How a replay goes: the options of `tidings replay`, and how their values are written."""

from collections.abc import Callable
from typing import Annotated

import typer

from tidings.cli.options import parsed
from tidings.operations.dead_letters import plan
from tidings.operations.dead_letters.plan import CAREFUL, Plan


def _parser(parse: Callable[[str], float]) -> Callable[[str], float]:
    return lambda text: parsed(parse, text)


def plan_of(
    canary: str | None, rate: float | None, stop_at: float | None, watch: float, *, force: bool
) -> Plan:
    """How these options say a replay goes.

    Raises:
        typer.BadParameter: `--canary` is no list of sizes.
    """
    waves = parsed(plan.waves, canary, "--canary") if canary else ()
    return Plan(force, rate, waves, CAREFUL if waves and stop_at is None else stop_at, watch)


Every = Annotated[bool, typer.Option("--all", help="Every open dead letter.")]
Limit = Annotated[
    int | None, typer.Option("--limit", "-n", min=1, help="At most so many, the oldest first.")
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Only say how many would be sent, how many not and why, and show some.",
    ),
]
Whole = Annotated[
    bool,
    typer.Option(
        "--whole",
        help="With --dry-run: look at every dead letter, not only for a moment at the oldest.",
    ),
]
PerSecond = Annotated[
    float | None,
    typer.Option(parser=_parser(plan.rate), metavar="50/s", help="No faster than this."),
]
Canary = Annotated[
    str | None,
    typer.Option(
        metavar="1,10,100",
        help="Send so many, watch what becomes of them, then so many more, then the rest.",
    ),
]
StopAt = Annotated[
    float | None,
    typer.Option(
        parser=_parser(plan.share),
        metavar="20%",
        help="Stop where this share fails again. 20% with --canary, otherwise never.",
    ),
]
Watch = Annotated[
    float,
    typer.Option(
        "--watch-timeout",
        parser=_parser(plan.length),
        metavar="60s",
        help="How long to wait for what becomes of each wave, and of all; 0 doesn't wait.",
    ),
]
Force = Annotated[
    bool,
    typer.Option("--force", help="Also what was replayed before: it may be sent a second time."),
]
