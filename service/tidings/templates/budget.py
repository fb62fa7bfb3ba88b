"""The cost limit of one message: a count of steps, so that the result depends only on template and data.

A time limit would fail a message because its machine was busy. A step is a loop iteration, a call, an
operator, a filter, an item read or 32 characters processed: less than a microsecond.
"""

from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, Final

from markupsafe import Markup

CHARACTERS_A_STEP: Final = 32
_CHEAPER_AGAIN: Final = 8
"""Reading a value again costs a fraction: most of the first cost is counting."""
_CONTAINERS: Final = (list, tuple, dict, set, frozenset)
_SCALARS: Final = frozenset({int, float, bool, type(None)})
_WHOLE: Final = _SCALARS | {str, Markup, list, dict, tuple}


class BudgetExceeded(Exception):
    """The template needs more than its budget; the text says of what."""


class Budget:
    """The steps that one message has left."""

    __slots__ = ("_known", "granted", "left")

    def __init__(self, steps: int) -> None:
        self.granted = steps
        self.left = steps
        # By id, with the value itself, so that no other value gets its id.
        self._known: dict[int, tuple[object, int]] = {}

    def spend(self, steps: int) -> None:
        """Use up steps.

        Raises:
            BudgetExceeded: Too few are left.
        """
        self.left -= steps
        if self.left < 0:
            raise BudgetExceeded(f"it takes more than {self.granted:,} steps to render")

    def room(self, characters: int) -> None:
        """Pay for characters about to be produced."""
        self.spend(1 + max(characters, 0) // CHARACTERS_A_STEP)

    def read(self, value: Any) -> None:
        """Pay for reading a whole value, nested ones included; reading it again costs less."""
        kind = type(value)
        if kind is str or kind is Markup:
            # `spend` without the call: nearly all that is read is text.
            self.left -= 1 + len(value) // CHARACTERS_A_STEP
            if self.left < 0:
                self.spend(0)
        elif kind in _SCALARS:
            self.spend(1)
        elif known := self._known.get(id(value)):
            self.spend(1 + known[1] // _CHEAPER_AGAIN)
        else:
            before = self.left
            self._read_deep(value)
            if before - self.left > _CHEAPER_AGAIN:
                self._known[id(value)] = value, before - self.left

    def _read_deep(self, value: Any) -> None:
        waiting = [value]
        while waiting:
            each = waiting.pop()
            # By type: `isinstance` is slow for some of Jinja's objects.
            kind = type(each)
            if issubclass(kind, str):
                self.room(len(each))
            elif issubclass(kind, _CONTAINERS):
                self.spend(1 + len(each))
                waiting += (*each, *each.values()) if issubclass(kind, dict) else each
            else:
                self.spend(1 + (len(each) if kind is range else 0))

    def made(self, value: Any) -> Any:
        """Pay for a value just produced; an iterator is paid for item by item."""
        if type(value) not in _WHOLE and isinstance(value, Iterator):
            return self._counted(value)
        self.read(value)
        return value

    def _counted(self, items: Iterator[Any]) -> Iterator[Any]:
        for item in items:
            self.spend(1)
            yield item


CURRENT: Final[ContextVar[Budget]] = ContextVar("tidings_template_budget")
"""The budget of the message being rendered, for each thread and task."""
