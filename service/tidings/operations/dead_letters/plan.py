"""The notation of a replay's plan: rate, waves and stop threshold."""

from collections.abc import Sequence
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from tidings.delivery.jobs import Plan
from tidings.settings import Duration, Rate

__all__ = ["CAREFUL", "Plan", "length", "rate", "share", "stopping", "waves"]

CAREFUL: Final = 0.2
"""The share of canaries that may fail again, unless the plan says otherwise."""


def stopping(waves: Sequence[int], share: float | None) -> float | None:
    """The share at which a replay stops: as the plan says; if it says nothing, canaries stop it and nothing else does."""
    return CAREFUL if waves and share is None else share


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
