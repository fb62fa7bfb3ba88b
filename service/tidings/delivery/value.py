"""How the values are made that every message needs anew: immutable to the type checker, and quickly.

A frozen dataclass sets each field through `object.__setattr__`, which makes it three times as slow to
construct as a plain one. For the few classes of which a message needs several that was 3 % of a worker's
time; for all others `dataclass(frozen=True)` is right.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

__all__ = ["value"]

Made = TypeVar("Made")

if TYPE_CHECKING:
    from dataclasses import dataclass as value
else:

    def value(*, frozen: bool, slots: bool) -> Callable[[type[Made]], type[Made]]:
        """Like `dataclass`, with the same equality and hash; that it is frozen only mypy sees to."""
        return dataclass(unsafe_hash=frozen, slots=slots)
