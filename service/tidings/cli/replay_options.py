"""How a replay goes: the options of `tidings replay`, and how their values are written."""

from typing import Annotated, Any

import typer
from pydantic import TypeAdapter, ValidationError

from tidings.settings import Duration, Rate


def _rate(text: str) -> float:
    return _read(Rate, text, "write it like 50/s, 100/m or 1000/h")


def _duration(text: str) -> float:
    return 0.0 if text in {"0", "0s"} else _read(Duration, text, "write it like 30s or 5m")


def _read(kind: Any, text: str, advice: str) -> float:
    try:
        return float(TypeAdapter(kind).validate_python(text))
    except (ValidationError, ValueError):
        raise typer.BadParameter(f"{text!r}: {advice}") from None


def waves_of(text: str) -> tuple[int, ...]:
    """How many go out in each wave, as `--canary` says it.

    Raises:
        typer.BadParameter: It is no list of sizes.
    """
    words = text.split(",")
    if not all(word.strip().isdigit() and int(word) > 0 for word in words):
        raise typer.BadParameter(
            f"{text!r}: write the sizes of the waves, like 1,10,100", param_hint="--canary"
        )
    return tuple(int(word) for word in words)


def _share(text: str) -> float:
    number, percent, rest = text.partition("%")
    try:
        share = float(number) / (100 if percent else 1)
    except ValueError:
        share = -1.0
    if rest or not 0 < share <= 1:
        raise typer.BadParameter(f"{text!r}: write a share like 20%")
    return share


Every = Annotated[bool, typer.Option("--all", help="Every buried letter.")]
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
        help="With --dry-run: look at every letter, not only for a moment at the oldest.",
    ),
]
PerSecond = Annotated[
    float | None, typer.Option(parser=_rate, metavar="50/s", help="No faster than this.")
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
        parser=_share,
        metavar="20%",
        help="Stop where this share fails again. 20% with --canary, otherwise never.",
    ),
]
Watch = Annotated[
    float,
    typer.Option(
        "--watch-timeout",
        parser=_duration,
        metavar="60s",
        help="How long to wait for what becomes of each wave, and of all; 0 doesn't wait.",
    ),
]
Force = Annotated[
    bool,
    typer.Option("--force", help="Also what was replayed before: it may be sent a second time."),
]
