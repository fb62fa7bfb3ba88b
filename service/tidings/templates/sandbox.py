"""The sandboxed Jinja environment of templates: no access to other objects, no mutation, metered operations."""

from collections.abc import Mapping
from typing import Any, Final

from jinja2 import DictLoader, nodes
from jinja2.runtime import BlockReference, Context, LoopContext, Macro, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Cycler, Joiner, Namespace

from tidings.templates.budget import CURRENT, BudgetExceeded
from tidings.templates.escaping import Escaping, escaped, is_escaped
from tidings.templates.filters import FILTERS, TESTS
from tidings.templates.lines import with_line_ends
from tidings.templates.metering import METERS, metered
from tidings.templates.values import METHODS, Method, Missing, TemplateMisuse

_LONGEST_NUMBER: Final = 4096
"""In bits; limit of numbers that a template computes."""

# Steps, measured in loop iterations.
_ATTRIBUTE: Final = 4
_CALL: Final = 8
_INCLUSION: Final = 10

# They pass their arguments on unread; so do macros.
_CARRIERS: Final = (BlockReference, LoopContext)


class MixedEscaping(TemplateMisuse):
    """An escaped and an unescaped file are combined."""


def _range(*bounds: int) -> range:
    numbers = range(*bounds)
    if numbers[CURRENT.get().granted :]:
        raise BudgetExceeded("its range is larger than one message may use")
    return numbers


class Sandbox(ImmutableSandboxedEnvironment):
    """Compiles and runs the files of one library.

    Args:
        sources: Path below the root → text.
    """

    intercepted_binops = frozenset({"+", "*", "**", "%"})
    code_generator_class = Escaping
    escaped = staticmethod(escaped)

    def __init__(self, sources: Mapping[str, str]) -> None:
        super().__init__(
            loader=DictLoader(sources),
            undefined=Missing,
            autoescape=is_escaped,
            trim_blocks=True,
            lstrip_blocks=True,
            cache_size=-1,
            auto_reload=False,
        )
        self.sources = sources
        self.filters = {**FILTERS, **METERS}
        self.tests = {**TESTS}
        self.globals = {
            "cycler": Cycler,
            "dict": dict,
            "joiner": Joiner,
            "namespace": Namespace,
            "range": _range,
        }

    def preprocess(self, source: str, name: str | None = None, filename: str | None = None) -> str:
        """The source with marked line breaks."""
        return with_line_ends(super().preprocess(source, name, filename))

    def _generate(
        self,
        source: nodes.Template,
        name: str | None,
        filename: str | None,
        defer_init: bool = False,
    ) -> str:
        return super()._generate(metered(source), name, filename, defer_init)

    def join_path(self, template: str, parent: str) -> str:
        """The path of an included file: below the root, and escaped like its includer."""
        CURRENT.get().spend(_INCLUSION)
        if is_escaped(template) != is_escaped(parent):
            raise MixedEscaping(mixed(template, parent))
        return template

    def call_filter(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Called by `map`; the meters must not be accessible."""
        if name in METERS:
            raise TemplateMisuse("there is no filter with this name")
        return super().call_filter(name, *args, **kwargs)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`obj.attribute`: a key of the data first, then a method."""
        if type(obj) is dict and attribute in obj:
            return obj[attribute]
        methods = _methods(obj)
        if methods is None:
            CURRENT.get().spend(_ATTRIBUTE)
            return super().getattr(obj, attribute)
        if bind := methods.get(attribute):
            return Method(bind(obj), obj, attribute)
        return self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """`obj[argument]`: a key of the data, never a method."""
        if _methods(obj) is None:
            return super().getitem(obj, argument)
        try:
            return obj[argument]
        except (TypeError, LookupError):
            if isinstance(argument, Undefined):
                str(argument)  # raises: the key itself is missing
            return self.undefined(obj=obj, name=argument)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805  # as Jinja's own: a template's keyword may be called self
        """Call something, and charge it."""
        budget = CURRENT.get()
        budget.spend(_CALL + len(args))
        passed = _passed(kwargs)
        if type(__obj) is Macro:
            return budget.made(__obj(__context.eval_ctx, *args, **passed))
        if isinstance(__obj, Method):
            __obj.pay(budget, (*args, *passed.values()))
            __obj = __obj.function
        elif not isinstance(__obj, _CARRIERS):
            budget.read([*args, *passed.values()])
        return budget.made(super().call(__context, __obj, *args, **passed))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Arithmetic; refused if the result would be huge."""
        _forbid_huge(operator, left, right)
        return CURRENT.get().made(super().call_binop(context, operator, left, right))


def mixed(template: str, parent: str) -> str:
    """The problem if `parent` includes `template` and only one of them is escaped."""
    return (
        f'"{template}" can\'t be part of "{parent}": names that end in html.j2 are HTML-escaped, '
        "others are not, and they can't be combined"
    )


def _methods(obj: Any) -> Mapping[str, Any] | None:
    """Methods allowed on a value of the data; None for anything else (a loop, a macro)."""
    kind = type(obj)
    known = METHODS.get(kind)
    if known is None and issubclass(kind, str | bytes | int):
        return METHODS[str] if issubclass(kind, str) else {}
    return known


def _passed(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The template's own keyword arguments, without Jinja's."""
    kwargs.pop("_loop_vars", None)
    kwargs.pop("_block_vars", None)
    return kwargs


def _forbid_huge(operator: str, left: Any, right: Any) -> None:
    match operator, left, right:
        case "*", str() | list() | tuple(), int():
            _forbid_repeats(left, right)
        case "*", int(), str() | list() | tuple():
            _forbid_repeats(right, left)
        case "*", int(), int() if left.bit_length() + right.bit_length() > _LONGEST_NUMBER:
            raise BudgetExceeded("it computes a number that is too large")
        case "**", int(), int() if left.bit_length() * right > _LONGEST_NUMBER:
            raise BudgetExceeded("it computes a number that is too large")
        case "%", str() | bytes(), _:
            raise TemplateMisuse(
                '% does not format text in templates: use the filter, {{ "…" | format(…) }}'
            )
        case _:
            pass


def _forbid_repeats(items: str | list[Any] | tuple[Any, ...], times: int) -> None:
    budget = CURRENT.get()
    if isinstance(items, str):
        budget.room(len(items) * times)
        return
    for _ in range(times):
        budget.read(items)
