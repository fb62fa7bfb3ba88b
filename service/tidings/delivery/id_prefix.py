"""Reads an id as people paste it: all of it, its beginning, its end, or any consecutive digits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self
from uuid import UUID

SHORTEST: Final = 4
"""The fewest digits accepted as the beginning of an id. If several ids match, the error lists them: notifications
made within a minute begin with the same eight digits, but end differently."""
SHORTEST_WITHIN: Final = 6
"""The fewest digits searched for anywhere in an id: fewer match too many ids."""
MOST_CANDIDATES: Final = 5
DIGITS: Final = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class IdPrefix:
    """Digits of an id."""

    text: str
    """As it was typed."""
    digits: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an id or some of its digits, with or without dashes.

        Raises:
            ValueError: Too few digits, too many, or not hexadecimal.
        """
        digits = text.strip().lower().replace("-", "")
        others = set(digits) - DIGITS
        if not SHORTEST <= len(digits) <= 32 or others:
            dead = "; a message whose id is no UUID is a dead letter: `tidings dead list --reason malformed`"
            raise ValueError(
                f"{text[:60]!r} is not an id: write a UUID, its first {SHORTEST} or more hex digits, or "
                f"its last 12{dead if others else ''}"
            )
        return cls(text.strip(), digits)

    @property
    def whole(self) -> bool:
        """Whether it is a complete id."""
        return len(self.digits) == 32

    @property
    def findable_within(self) -> bool:
        """Whether it may be searched for in the middle or at the end of ids."""
        return SHORTEST_WITHIN <= len(self.digits) < 32

    @property
    def lowest(self) -> UUID:
        """The lowest id with this beginning."""
        return UUID(self.digits.ljust(32, "0"))

    @property
    def highest(self) -> UUID:
        """The highest id with this beginning."""
        return UUID(self.digits.ljust(32, "f"))

    @property
    def sought(self) -> tuple[bytes, bytes, str]:
        """Parameters for `contains_digits_fast`: the whole bytes that the digits form if the first digit begins a byte,
        those if it ends one, and a pattern."""
        even = self.digits[: len(self.digits) // 2 * 2]
        odd = self.digits[1:][: (len(self.digits) - 1) // 2 * 2]
        return bytes.fromhex(even), bytes.fromhex(odd), f"%{self.digits}%"

    @property
    def within(self) -> str:
        """A pattern for `contains_digits`: the digits anywhere in an id, or at its beginning if they are few."""
        return f"%{self.digits}%" if len(self.digits) >= SHORTEST_WITHIN else f"{self.digits}%"


def contains_digits(column: str, parameter: str) -> str:
    """An SQL condition: the id in this column matches a pattern of digits."""
    return f"replace({column}::text, '-', '') LIKE {parameter}"


def contains_digits_fast(column: str, place: int) -> str:
    """Like `contains_digits`, four times as fast: it compares bytes first. Its three parameters, from $`place` on, are
    `IdPrefix.sought`."""
    even, odd, pattern = (f"${number}" for number in range(place, place + 3))
    bytes_ = f"uuid_send({column})"
    met = f"position({even}::bytea IN {bytes_}) > 0 OR position({odd}::bytea IN {bytes_}) > 0"
    return f"CASE WHEN {met} THEN {contains_digits(column, pattern)} ELSE false END"


def ambiguous(part: IdPrefix, what: str, found: Sequence[object]) -> str:
    """The error for digits that match several ids."""
    shown = ", ".join(str(match) for match in found[:MOST_CANDIDATES])
    more = " and more" if len(found) > MOST_CANDIDATES else ""
    return (
        f"{part.text} matches several {what}: {shown}{more}; give more digits, or the last 12 "
        "of the right id"
    )
