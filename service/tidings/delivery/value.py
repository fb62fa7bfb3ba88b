"""A dataclass decorator for values created for every message: frozen for the type checker only.

A frozen dataclass sets each field through `object.__setattr__`, which makes construction three times as slow.
For the few classes with several instances per message that was 3 % of a worker's time; all other classes use
`dataclass(frozen=True)`.
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
        """Like `dataclass`, with the same equality and hash; only mypy enforces that it is frozen."""
        return dataclass(unsafe_hash=frozen, slots=slots)
