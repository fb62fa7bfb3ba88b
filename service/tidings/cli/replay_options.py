"""The options of `tidings replay` that control its pace."""

from collections.abc import Callable
from typing import Annotated, Final

import typer

from tidings.cli.console import Unclear
from tidings.cli.options import parsed
from tidings.operations.dead_letters import plan
from tidings.operations.dead_letters.plan import Plan

WATCH: Final = 60.0
"""Seconds to wait for the results of a wave, of a command that has no option for it."""


def _parser(parse: Callable[[str], float]) -> Callable[[str], float]:
    return lambda text: parsed(parse, text)


def plan_of(
    canary: str | None, rate: float | None, stop_at: float | None, watch: float, *, force: bool
) -> Plan:
    """The plan that these options describe.

    Raises:
        typer.BadParameter: `--canary` is not a list of sizes, or there is no time to wait for a wave.
    """
    waves = parsed(plan.waves, canary, "--canary") if canary else ()
    if waves and not watch:
        raise Unclear(
            "--canary waits for the results of each wave: give a --watch-timeout longer than 0"
        )
    return Plan(force, rate, waves, plan.stopping(waves, stop_at), watch)


Every = Annotated[
    bool,
    typer.Option(
        "--all",
        help="All open dead letters, except those that may have been delivered or would expire again.",
    ),
]
Limit = Annotated[
    int | None, typer.Option("--limit", "-n", min=1, help="Maximum number to replay, oldest first.")
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Show what would be replayed and what not, and change nothing.",
    ),
]
FullScan = Annotated[
    bool,
    typer.Option(
        "--full-scan",
        help="With --dry-run: check every dead letter; by default only the oldest, for a short time.",
    ),
]
PerSecond = Annotated[
    float | None,
    typer.Option(parser=_parser(plan.rate), metavar="50/s", help="Maximum rate."),
]
Canary = Annotated[
    str | None,
    typer.Option(
        metavar="1,10,100",
        help="Replay in waves of these sizes and wait for the results of each, then replay the rest.",
    ),
]
StopAt = Annotated[
    float | None,
    typer.Option(
        parser=_parser(plan.share),
        metavar="20%",
        help="Stop if this share fails again; default 20% with --canary, else never.",
    ),
]
Watch = Annotated[
    float,
    typer.Option(
        "--watch-timeout",
        parser=_parser(plan.length),
        metavar="60s",
        help="How long to wait for the results of each wave and at the end; 0 doesn't wait; not with --canary.",
    ),
]
Force = Annotated[
    bool,
    typer.Option(
        "--force",
        help="Also replay those already replayed or sent, those whose idempotency key another notification has, "
        "and those whose id is stored with other content, which is overwritten. Recipients may get duplicates.",
    ),
]
