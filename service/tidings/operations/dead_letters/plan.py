"""A replay's plan: rate, waves and stop threshold, and their notation."""

from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from tidings.settings import Duration, Rate

CAREFUL: Final = 0.2
"""The share of canaries that may fail again, unless the plan says otherwise."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to replay.

    Args:
        force: Also replay what was replayed before.
        rate: Dead letters a second; as fast as can be where None.
        canary: Sizes of the first waves, each watched before the next goes out.
        stop_at: Share of dead letters that may fail again, from 0 to 1, before the rest is left alone.
        watch: Seconds to wait for what becomes of a wave, and of all at the end.
    """

    force: bool = False
    rate: float | None = None
    canary: tuple[int, ...] = ()
    stop_at: float | None = None
    watch: float = 60.0


def rate(text: str) -> float:
    """Read `50/s`, `100/m` or `1000/h` as dead letters a second.

    Raises:
        ValueError: It is none of these.
    """
    return _read(Rate, text, "write it like 50/s, 100/m or 1000/h")


def length(text: str) -> float:
    """Read `30s` or `5m` as seconds; 0 is nothing. Raises like `rate`."""
    return 0.0 if text in {"0", "0s"} else _read(Duration, text, "write it like 30s or 5m")


def share(text: str) -> float:
    """Read `20%` or `0.2`. Raises like `rate`."""
    number, percent, rest = text.partition("%")
    try:
        part = float(number) / (100 if percent else 1)
    except ValueError:
        part = -1.0
    if rest or not 0 < part <= 1:
        raise ValueError(f"{text!r}: write a share like 20%")
    return part


def waves(text: str) -> tuple[int, ...]:
    """Read the sizes of the first waves, like `1,10,100`. Raises like `rate`."""
    words = text.split(",")
    if not all(word.strip().isdigit() and int(word) > 0 for word in words):
        raise ValueError(f"{text!r}: write the sizes of the waves, like 1,10,100")
    return tuple(int(word) for word in words)


def _read(kind: Any, text: str, advice: str) -> float:
    try:
        return float(TypeAdapter(kind).validate_python(text))
    except (ValidationError, ValueError):
        raise ValueError(f"{text!r}: {advice}") from None
