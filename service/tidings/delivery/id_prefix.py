"""Reads an id as people paste it: all of it, its beginning, its end, or any digits of it in a row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self
from uuid import UUID

SHORTEST: Final = 4
"""Digits that are taken for an id. Where several begin so they are named: notifications made within a minute begin
with the same eight, but end differently."""
SHORTEST_WITHIN: Final = 6
"""Digits that are looked for anywhere in an id: fewer are found in many."""
MOST_CANDIDATES: Final = 5
DIGITS: Final = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class IdPrefix:
    """Some digits of an id."""

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
                f"{text[:60]!r} is not an id: write a UUID, at least the first {SHORTEST} of its digits, or "
                f"its last group{dead if others else ''}"
            )
        return cls(text.strip(), digits)

    @property
    def whole(self) -> bool:
        """Whether it is all of the id."""
        return len(self.digits) == 32

    @property
    def findable_within(self) -> bool:
        """Whether it is worth looking for in the middle or at the end of ids."""
        return SHORTEST_WITHIN <= len(self.digits) < 32

    @property
    def lowest(self) -> UUID:
        """Of the ids that begin so."""
        return UUID(self.digits.ljust(32, "0"))

    @property
    def highest(self) -> UUID:
        """Of the ids that begin so."""
        return UUID(self.digits.ljust(32, "f"))

    @property
    def sought(self) -> tuple[bytes, bytes, str]:
        """For `having`: the whole bytes that the digits make where the first of them begins one, and where it ends
        one; and a pattern."""
        even = self.digits[: len(self.digits) // 2 * 2]
        odd = self.digits[1:][: (len(self.digits) - 1) // 2 * 2]
        return bytes.fromhex(even), bytes.fromhex(odd), f"%{self.digits}%"

    @property
    def within(self) -> str:
        """A pattern for ids with these digits anywhere in a row, or at their beginning where they are few, for
        `holding`."""
        return f"%{self.digits}%" if len(self.digits) >= SHORTEST_WITHIN else f"{self.digits}%"


def holding(column: str, parameter: str) -> str:
    """A condition: the id in this column has the digits of a pattern."""
    return f"replace({column}::text, '-', '') LIKE {parameter}"


def having(column: str, place: int) -> str:
    """The same as `holding`, four times as fast: the bytes are looked at first. Its three parameters, from $`place`
    on, are `IdPrefix.sought`."""
    even, odd, pattern = (f"${number}" for number in range(place, place + 3))
    bytes_ = f"uuid_send({column})"
    met = f"position({even}::bytea IN {bytes_}) > 0 OR position({odd}::bytea IN {bytes_}) > 0"
    return f"CASE WHEN {met} THEN {holding(column, pattern)} ELSE false END"


def several(part: IdPrefix, what: str, found: Sequence[object]) -> str:
    """Why digits that several ids have are refused."""
    shown = ", ".join(str(match) for match in found[:MOST_CANDIDATES])
    more = " and more" if len(found) > MOST_CANDIDATES else ""
    return (
        f"{part.text} means several {what}: {shown}{more}; give more digits, or the last group "
        "of the one you mean"
    )
