"""Lengths of time as operators write them: `30s`, `2m`, `1h30m`, `7d`."""

import re
from dataclasses import dataclass
from typing import Final, Self

_UNITS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_WRITTEN: Final = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?")
_MILLISECONDS: Final = re.compile(r"(\d+)ms")


def seconds(text: str) -> float:
    """Read `500ms`, `30s`, `2m`, `1h30m` or `7d` as seconds.

    Raises:
        ValueError: The text is none of these.
    """
    written = text.strip().lower()
    if milliseconds := _MILLISECONDS.fullmatch(written):
        return float(milliseconds[1]) / 1000
    match = _WRITTEN.fullmatch(written)
    if not written or match is None:
        raise ValueError(f"{text!r} is not a length of time: write it like 30s, 2m, 1h30m or 7d")
    return sum(
        float(count) * size
        for count, size in zip(match.groups(), _UNITS.values(), strict=True)
        if count
    )


@dataclass(frozen=True, slots=True, order=True)
class Delay:
    """A whole number of seconds to wait in a retry queue, which has the delay's name."""

    seconds: int

    def __post_init__(self) -> None:
        if not 1 <= self.seconds <= _UNITS["d"] * 7:
            raise ValueError(f"a retry delay is between 1s and 7d, not {self.seconds} seconds")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a delay from its name, e.g. `2m`."""
        length = seconds(text)
        if not length.is_integer():
            raise ValueError(f"a retry delay is a whole number of seconds, not {text}")
        return cls(int(length))

    @property
    def name(self) -> str:
        """The shortest exact name in one unit: 90 → `90s`, 120 → `2m`."""
        unit = next(unit for unit, size in _UNITS.items() if self.seconds % size == 0)
        return f"{self.seconds // _UNITS[unit]}{unit}"

    def __str__(self) -> str:
        return self.name
