"""A template's access to the notification's data: reading, a few methods, printing."""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, time
from decimal import Decimal
from functools import partial
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from jinja2 import StrictUndefined, Undefined, UndefinedError
from jinja2.exceptions import TemplateRuntimeError
from jinja2.utils import missing

from tidings.templates.budget import CURRENT, Budget

_PRINTABLE: Final = (str, int, float, Decimal, date, time, UUID)


class TemplateMisuse(TemplateRuntimeError):
    """A template does something that is not allowed; the text contains no data."""


class VariableMissing(UndefinedError):
    """A template used a variable that is not in the data."""

    def __init__(self, name: object, owner: object = missing, hint: str | None = None) -> None:
        super().__init__("a variable is missing")
        self.name = name
        self.owner = owner
        """The object that lacks it; `missing` for a top-level variable."""
        self.hint = hint


class NullPrinted(UndefinedError):
    """A template printed null, which would appear as "None"."""

    def __init__(self, label: str) -> None:
        super().__init__("null is printed")
        self.label = label


class Missing(StrictUndefined):
    """A missing variable; any use but a test for existence fails."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        if self._undefined_exception is not UndefinedError:
            return super()._undefined_message
        raise VariableMissing(self._undefined_name, self._undefined_obj, self._undefined_hint)


class Method(Missing):
    """A method of a value in the data, which can only be called.

    Any other use counts as a missing variable: an order without `items` must not print a method.
    """

    __slots__ = ("function",)

    def __init__(self, function: Callable[..., Any], owner: object, name: str) -> None:
        super().__init__(obj=owner, name=name)
        self.function = function

    def pay(self, budget: Budget, arguments: Iterable[object]) -> None:
        """Pay for a call: for its arguments, and for a width to pad to."""
        budget.read(self._undefined_obj)
        for argument in arguments:
            budget.read(argument)
            if isinstance(argument, int):
                budget.room(abs(argument))


def printable(value: Any, label: str) -> Any:
    """A value, if it can be printed.

    Raises:
        NullPrinted: It is null.
        TemplateMisuse: It is a list, a mapping or another value without a text form.
    """
    if value is None:
        raise NullPrinted(label)
    if isinstance(value, _PRINTABLE) or hasattr(value, "__html__"):
        return value
    if isinstance(value, Undefined):
        return str(value)  # raises, except for an `if` without an else
    what = f"`{label}`" if label else "an expression"
    raise TemplateMisuse(
        f"{what} is {_kind(value)} and can't be printed: loop over it, or use join or tojson"
    )


def _kind(value: object) -> str:
    if isinstance(value, Mapping):
        return "an object"
    return "a list" if isinstance(value, list | tuple) else f"a {type(value).__name__}"


def _replace(text: str, old: str, new: str, count: int = -1) -> str:
    CURRENT.get().room(text.count(old) * len(new))
    return text.replace(old, new, count)


_OF_TEXT: Final = frozenset({
    "capitalize", "casefold", "center", "count", "endswith", "find", "index", "isalnum", "isalpha",
    "isdecimal", "isdigit", "islower", "isnumeric", "isspace", "istitle", "isupper", "ljust",
    "lower", "lstrip", "partition", "removeprefix", "removesuffix", "rfind", "rjust", "rpartition",
    "rsplit", "rstrip", "split", "splitlines", "startswith", "strip", "swapcase", "title", "upper",
    "zfill",
})  # fmt: skip


_Binder = Callable[[Any], Callable[..., Any]]
"""Value → its method."""


def _bound(names: Iterable[str]) -> Mapping[str, _Binder]:
    return {name: attrgetter(name) for name in names}


_TEXT: Final[Mapping[str, _Binder]] = {
    **_bound(_OF_TEXT),
    "replace": lambda text: partial(_replace, text),
}
_LIST: Final = _bound({"count", "index"})
_OBJECT: Final = {
    "get": lambda mapping: mapping.get,
    "items": lambda mapping: lambda: [*mapping.items()],
    "keys": lambda mapping: lambda: [*mapping],
    "values": lambda mapping: lambda: [*mapping.values()],
}

METHODS: Final[Mapping[type, Mapping[str, _Binder]]] = MappingProxyType(
    {
        str: _TEXT,
        dict: _OBJECT,
        list: _LIST,
        tuple: _LIST,
        int: {},
        float: _bound({"is_integer"}),
        bool: {},
        type(None): {},
        bytes: {},
    }
)
"""Type of a value → the methods that a template may call on it."""
