"""Filters and tests of templates: Jinja's safe ones, each charged to the budget, and ours.

Left out: `random` (a retry would differ), `urlize` (it turns untrusted text into links), `pprint`,
`attr`, `xmlattr` and `forceescape`.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import update_wrapper
from typing import Any, Final

from jinja2.filters import FILTERS as JINJA_FILTERS
from jinja2.filters import make_attrgetter
from jinja2.nodes import EvalContext
from jinja2.runtime import Context, Undefined
from jinja2.tests import TESTS as JINJA_TESTS
from jinja2.utils import pass_context, pass_environment, pass_eval_context

from tidings.templates import formats
from tidings.templates.budget import CURRENT, Budget
from tidings.templates.values import NullPrinted, TemplateMisuse, printable

_FILTER: Final = 4
"""Steps of calling a filter, measured in loop iterations."""

_AsFilter = Callable[..., Any]

# They don't iterate over the value.
_GLANCES: Final = ("count", "first", "items", "last", "length", "safe")
# They iterate over it lazily.
_LAZY: Final = ("map", "reject", "rejectattr", "select", "selectattr")
_THOROUGH: Final = (
    "abs", "capitalize", "dictsort", "e", "escape", "filesizeformat", "float", "groupby", "int",
    "list", "lower", "max", "min", "reverse", "slice", "sort", "striptags", "title", "trim",
    "unique", "upper", "urlencode", "wordcount",
)  # fmt: skip
_TAKES_MISSING: Final = frozenset({"d", "default"})
_TAKES_NULL: Final = frozenset({"d", "default", "tojson"})


def _paid(name: str, function: _AsFilter, pay: Callable[[Budget, Any], Any]) -> _AsFilter:
    """A filter that pays for its input and its output."""
    plain = not hasattr(function, "jinja_pass_arg")

    # `pass_context` keeps Jinja from evaluating it at compile time, when there is no budget.
    @pass_context
    def paying(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        _be_there(value, name)
        budget = CURRENT.get()
        budget.spend(_FILTER)
        value = pay(budget, value)
        for argument in (*args, *kwargs.values()):
            budget.read(argument)
        if plain:
            return budget.made(function(value, *args, **kwargs))
        return budget.made(context.call(function, value, *args, **kwargs))

    return update_wrapper(paying, function, assigned=("__name__", "__doc__"), updated=())


def _be_there(value: Any, name: str) -> None:
    if value is None and name not in _TAKES_NULL:
        raise NullPrinted("")
    if isinstance(value, Undefined) and name not in _TAKES_MISSING:
        str(value)  # raises: not every filter of Jinja's would


def _glance(budget: Budget, value: Any) -> Any:
    budget.spend(1)
    return value


def _lazily(budget: Budget, value: Any) -> Any:
    budget.spend(_FILTER)
    return budget.made(iter(value))


def _thoroughly(budget: Budget, value: Any) -> Any:
    budget.read(value)
    return value


def _default(value: Any, fallback: Any = "", boolean: bool = False) -> Any:
    """A fallback for a variable that is missing or null; with `boolean`, also if it is false or empty."""
    absent = value is None or isinstance(value, Undefined)
    return fallback if absent or (boolean and not value) else value


@pass_eval_context
def _join(
    eval_ctx: EvalContext, value: Iterable[Any], d: str = "", attribute: str | int | None = None
) -> Any:
    items = list(value)
    if attribute is not None:
        items = [*map(make_attrgetter(eval_ctx.environment, attribute), items)]
    budget = CURRENT.get()
    budget.read([printable(item, "") for item in items])
    budget.room(len(items) * len(d))
    return JINJA_FILTERS["join"](eval_ctx, items, d)


@pass_eval_context
def _replace(eval_ctx: EvalContext, s: Any, old: str, new: str, count: int | None = None) -> Any:
    CURRENT.get().room(str(s).count(str(old)) * len(str(new)))
    return JINJA_FILTERS["replace"](eval_ctx, s, old, new, count)


def _center(value: str, width: int = 80) -> Any:
    CURRENT.get().room(width)
    return JINJA_FILTERS["center"](value, width)


def _indent(s: str, width: int | str = 4, first: bool = False, blank: bool = False) -> Any:
    longest = width if isinstance(width, int) else len(width)
    CURRENT.get().room(longest * (1 + str(s).count("\n")))
    return JINJA_FILTERS["indent"](s, width, first, blank)


def _batch(value: Iterable[Any], linecount: int, fill_with: Any = None) -> Any:
    CURRENT.get().spend(max(linecount, 0))
    return JINJA_FILTERS["batch"](value, linecount, fill_with)


def _round(value: float, precision: int = 0, method: str = "common") -> Any:
    if not -20 <= precision <= 20:
        raise TemplateMisuse("round: precision must be between -20 and 20")
    return JINJA_FILTERS["round"](value, precision, method)


def _format(value: str, *args: Any, **kwargs: Any) -> Any:
    if formats.has_wide_field(str(value)):
        raise TemplateMisuse("format: a field may be at most 999 wide")
    longest = max((len(str(each)) for each in (*args, *kwargs.values())), default=0)
    CURRENT.get().room(longest * str(value).count("%"))
    return JINJA_FILTERS["format"](value, *args, **kwargs)


@pass_environment
def _truncate(
    environment: Any, s: str, length: int = 255, killwords: bool = False, end: str = "…"
) -> Any:
    if length < len(end):
        raise TemplateMisuse("truncate: length is less than that of its end")
    return JINJA_FILTERS["truncate"](environment, s, length, killwords, end, 0)


@pass_environment
def _sum(environment: Any, iterable: Any, attribute: str | None = None, start: Any = 0) -> Any:
    if not isinstance(start, int | float | Decimal):
        raise TemplateMisuse("sum: adds numbers; use join for text")
    return JINJA_FILTERS["sum"](environment, iterable, attribute, start)


@pass_eval_context
def _tojson(eval_ctx: EvalContext, value: Any, indent: int | None = None) -> Any:
    if indent is not None and not 0 <= indent <= 8:
        raise TemplateMisuse("tojson: indent must be between 0 and 8")
    return JINJA_FILTERS["tojson"](eval_ctx, value, indent)


@pass_environment
def _wordwrap(environment: Any, s: str, width: int = 79, break_long_words: bool = True) -> Any:
    return JINJA_FILTERS["wordwrap"](environment, s, width, break_long_words)


def _string(value: Any) -> Any:
    return JINJA_FILTERS["string"](printable(value, ""))


_OURS: Final[Mapping[str, _AsFilter]] = {
    "batch": _batch,
    "center": _center,
    "d": _default,
    "date": formats.date,
    "date_part": formats.part_of_date,
    "default": _default,
    "format": _format,
    "indent": _indent,
    "join": _join,
    "link": formats.link,
    "number": formats.number,
    "oneline": formats.oneline,
    "replace": _replace,
    "round": _round,
    "string": _string,
    "sum": _sum,
    "tojson": _tojson,
    "truncate": _truncate,
    "wordwrap": _wordwrap,
}

_GLANCING_TESTS: Final = frozenset({
    "boolean", "callable", "defined", "divisibleby", "escaped", "even", "false", "filter", "float",
    "integer", "iterable", "mapping", "none", "number", "odd", "sameas", "sequence", "string",
    "test", "true", "undefined",
})  # fmt: skip


def _paid_test(name: str, function: Any) -> _AsFilter:
    pay = _glance if name in _GLANCING_TESTS else _thoroughly
    takes_environment = hasattr(function, "jinja_pass_arg")

    @pass_context
    def paying(context: Context, value: Any, *args: Any) -> Any:
        budget = CURRENT.get()
        for each in (value, *args):
            pay(budget, each)
        return (
            function(context.environment, value, *args)
            if takes_environment
            else function(value, *args)
        )

    return update_wrapper(paying, function, assigned=("__name__", "__doc__"), updated=())


FILTERS: Final[Mapping[str, _AsFilter]] = {
    **{name: _paid(name, JINJA_FILTERS[name], _glance) for name in _GLANCES},
    **{name: _paid(name, JINJA_FILTERS[name], _lazily) for name in _LAZY},
    **{name: _paid(name, JINJA_FILTERS[name], _thoroughly) for name in _THOROUGH},
    **{name: _paid(name, function, _thoroughly) for name, function in _OURS.items()},
}
"""Filters by name."""

TESTS: Final[Mapping[str, _AsFilter]] = {
    name: _paid_test(name, JINJA_TESTS[name]) for name in JINJA_TESTS
}
"""Tests by name."""
