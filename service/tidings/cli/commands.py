"""How every command is typed: what is empty or misspelt is refused, and its help reads well at any width."""

import builtins
import re
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from enum import Enum
from typing import Any, Final, NoReturn, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from tidings.cli.console import Unclear
from tidings.cli.help import show_help
from tidings.operations import suggestions
from tidings.operations.suggestions import did_you_mean

Function = TypeVar("Function", bound=Callable[..., Any])

EMPTY: Final = "it is empty: leave it out, or give it a value"
OTHERWISE_CALLED: Final = {
    "--reason": ("--note",),
    "--note": ("--reason",),
    "--why": ("--note",),
    "--comment": ("--note",),
    "--recipient": ("--to",),
}
"""What an option is perhaps meant to be that no command has, or that is called otherwise here: `--note` is an operator's text,
`--reason` why a message became a dead letter."""
ELSEWHERE: Final = {
    "up": ": it is in the distribution tidings-local, which `make run` installs in a checkout of Tidings"
}
"""What is said of a command that another distribution brings."""
ID_LIKE: Final = re.compile(r"[0-9a-fA-F-]{4,36}")


class Commands(typer.Typer):
    """A group of commands."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**{"cls": CommandGroup, **how})

    def command(self, name: str | None = None, **how: Any) -> Callable[[Function], Function]:
        """Add a command, as `typer.Typer.command` does."""
        return super().command(name, **{"cls": Command, **how})


class Command(TyperCommand):
    """One command. An empty value is refused wherever it is given: a script's variable is not set,
    and a filter that was to narrow something down would let everything through."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read what was typed.

        Raises:
            typer.BadParameter: It can't be meant so.
        """
        every: list[Any] = self.get_params(ctx)
        try:
            given, _, _ = self.make_parser(ctx).parse_args(args=list(args))
        except typer.TyperException as error:
            _explain(error, ctx, every)
        for param in every:
            for value in _values(given.get(param.name)):
                if problem := _problem(value, param):
                    raise typer.BadParameter(problem, ctx=ctx, param=param)
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print it."""
        show_help(self, ctx)


class CommandGroup(TyperGroup):
    """A command with others below it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read what was typed before the command below.

        Raises:
            typer.BadParameter: It can't be meant so.
        """
        try:
            return super().parse_args(ctx, args)
        except typer.TyperException as error:
            _explain(error, ctx, self.get_params(ctx))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command below that was named.

        Raises:
            typer.BadParameter: There is none.
        """
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            elsewhere = ELSEWHERE.get(args[0]) if ctx.parent is None else None
            meant = elsewhere or _meant(args[0], self, ctx)
            raise Unclear(f"there is no command {args[0]}{meant}", ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print it."""
        show_help(self, ctx)


def _values(given: object) -> Iterator[str]:
    for value in given if isinstance(given, list | tuple) else (given,):
        if isinstance(value, str):
            yield value


def _meant(word: str, group: Any, ctx: Any) -> str:
    """The command that was perhaps meant: one of these, or one that is called so elsewhere."""
    root = ctx.find_root()
    elsewhere = [
        f"`{root.command_path} {name} {word}`"
        for name, below in root.command.commands.items()
        if word in getattr(below, "commands", ())
    ]
    if group is not root.command and word in root.command.commands:
        elsewhere.append(f"`{root.command_path} {word}`")
    if elsewhere:
        return f" (did you mean {' or '.join(elsewhere)}?)"
    return did_you_mean(word, group.commands)


def _explain(error: typer.TyperException, ctx: Any, params: Iterable[Any]) -> NoReturn:
    """Raise it again; an option that there is not, with the one that it was perhaps meant to be."""
    given = getattr(error, "option_name", None)
    if given is None:
        raise error
    if type(error).__name__ != "NoSuchOption":
        raise Unclear(error.format_message(), ctx=ctx) from None
    known = [name for param in params for name in param.opts if name.startswith("-")]
    named = [name for name in OTHERWISE_CALLED.get(given, ()) if name in known]
    near = f" (did you mean {named[0]!r}?)" if named else did_you_mean(given, known)
    raise Unclear(f"there is no option {given}{near}", ctx=ctx) from None


def _problem(value: str, param: Any) -> str | None:
    """Why a value can't be meant so, as far as that is alike for all of its kind."""
    kind = getattr(param, "type_descriptor", None)
    choices = _choices(kind)
    if not value:
        return EMPTY
    if choices:
        repeated = param.opts[0] if param.multiple else None
        return None if value in choices else unknown(value, choices, repeated=repeated)
    if param.param_type_name == "argument" and all(map(ID_LIKE.fullmatch, several(value))):
        return _several_ids(value, only_one=param.nargs == 1)
    match getattr(kind, "annotation", None):
        case builtins.int:
            return _number(value, getattr(kind, "parameter_info", None))
        case uuid.UUID:
            return _uuid(value)
        case _:
            return None


def _choices(kind: object) -> list[str]:
    """The words that an option of a few words takes; none where it takes any."""
    choices: Iterable[object] = getattr(kind, "choices", None) or ()
    return [str(choice.value) if isinstance(choice, Enum) else str(choice) for choice in choices]


def _several_ids(value: str, *, only_one: bool) -> str | None:
    words = several(value)
    apart = "it takes one" if only_one else f"write `{' '.join(words)}`"
    return f"{value!r} is several: {apart}" if len(words) > 1 else None


def _number(value: str, bounds: Any) -> str | None:
    try:
        number = int(value)
    except ValueError:
        return f"{value!r} is not a whole number"
    if bounds.min is not None and number < bounds.min:
        return f"{value} is too few: at least {bounds.min:,}"
    if bounds.max is not None and number > bounds.max:
        return f"{value} is too many: at most {bounds.max:,}"
    return None


def _uuid(value: str) -> str | None:
    try:
        uuid.UUID(value)
    except ValueError:
        return f"{value!r} is not a UUID: write all of it"
    return None


def several(value: str) -> list[str]:
    """The words that are written as one, with commas between them."""
    return re.split(r"[\s,;]+", value.strip(" ,;"))


def unknown(value: str, known: Collection[str], *, repeated: str | None = None) -> str:
    """Why a word is refused, with the one it was perhaps meant to be, and all there are.

    Args:
        repeated: The option, where it may be given several times.
    """
    words = several(value)
    if len(words) > 1 and all(word in known for word in words):
        each = f"give it once for each, `{' '.join(f'{repeated} {word}' for word in words)}`"
        return f"{value!r} is several: {each if repeated else 'it takes one'}"
    return suggestions.unknown(value, known)
