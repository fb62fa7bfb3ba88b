"""Parses command lines: rejects empty and misspelt values with a suggestion."""

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

EMPTY: Final = "it is empty: give a value or omit it"
OPTION_SUGGESTIONS: Final = {
    "--reason": ("--note",),
    "--note": ("--reason",),
    "--why": ("--note",),
    "--comment": ("--note",),
    "--recipient": ("--to",),
}
"""Suggestions for options that a command doesn't have. `--note` is an operator's text, `--reason` the reason of a dead letter."""
FORMER_COMMANDS: Final = {"open": "disable", "close": "enable", "verify": "audit"}
"""Their names of today: `channels open` opened the circuit, and so stopped sends."""
OTHER_DISTRIBUTIONS: Final = {
    "up": ": it is part of the package tidings-local, which `make run` installs in a checkout of Tidings"
}
"""Hints for commands of other distributions."""
ID_LIKE: Final = re.compile(r"[0-9a-fA-F-]{4,36}")


class Commands(typer.Typer):
    """A group of commands."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**{"cls": CommandGroup, **how})

    def command(self, name: str | None = None, **how: Any) -> Callable[[Function], Function]:
        """Add a command, as `typer.Typer.command` does."""
        return super().command(name, **{"cls": Command, **how})


class Command(TyperCommand):
    """A command. It rejects empty values: an unset variable in a script would otherwise disable a filter."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments.

        Raises:
            typer.BadParameter: A value is wrong.
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
        """Print the help."""
        show_help(self, ctx)


class CommandGroup(TyperGroup):
    """A command with subcommands."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments before the subcommand.

        Raises:
            typer.BadParameter: A value is wrong.
        """
        try:
            return super().parse_args(ctx, args)
        except typer.TyperException as error:
            _explain(error, ctx, self.get_params(ctx))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the subcommand.

        Raises:
            typer.BadParameter: It doesn't exist.
        """
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            elsewhere = OTHER_DISTRIBUTIONS.get(args[0]) if ctx.parent is None else None
            meant = elsewhere or _meant(args[0], self, ctx)
            raise Unclear(f"there is no command {args[0]}{meant}", ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help."""
        show_help(self, ctx)


def _values(given: object) -> Iterator[str]:
    for value in given if isinstance(given, list | tuple) else (given,):
        if isinstance(value, str):
            yield value


def _meant(word: str, group: Any, ctx: Any) -> str:
    """A suggestion: a similar command, or the same name in another group."""
    if (renamed := FORMER_COMMANDS.get(word)) in group.commands:
        return f" (did you mean {renamed!r}?)"
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
    """Raise the error again; for an unknown option with a suggestion."""
    given = getattr(error, "option_name", None)
    if given is None:
        raise error
    if type(error).__name__ != "NoSuchOption":
        raise Unclear(error.format_message(), ctx=ctx) from None
    known = [name for param in params for name in param.opts if name.startswith("-")]
    named = [name for name in OPTION_SUGGESTIONS.get(given, ()) if name in known]
    near = f" (did you mean {named[0]!r}?)" if named else did_you_mean(given, known)
    raise Unclear(f"there is no option {given}{near}", ctx=ctx) from None


def _problem(value: str, param: Any) -> str | None:
    """Why a value is wrong, from the type of its parameter."""
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
    """The values of an option that takes a fixed set; empty if it takes any."""
    choices: Iterable[object] = getattr(kind, "choices", None) or ()
    return [str(choice.value) if isinstance(choice, Enum) else str(choice) for choice in choices]


def _several_ids(value: str, *, only_one: bool) -> str | None:
    words = several(value)
    apart = "give one" if only_one else f"write `{' '.join(words)}`"
    return f"{value!r} is several values: {apart}" if len(words) > 1 else None


def _number(value: str, bounds: Any) -> str | None:
    try:
        number = int(value)
    except ValueError:
        return f"{value!r} is not a whole number"
    if bounds.min is not None and number < bounds.min:
        return f"{value} is too small: at least {bounds.min:,}"
    if bounds.max is not None and number > bounds.max:
        return f"{value} is too large: at most {bounds.max:,}"
    return None


def _uuid(value: str) -> str | None:
    try:
        uuid.UUID(value)
    except ValueError:
        return f"{value!r} is not a UUID: give it in full"
    return None


def several(value: str) -> list[str]:
    """The parts of a value that is separated by commas or blanks."""
    return re.split(r"[\s,;]+", value.strip(" ,;"))


def unknown(value: str, known: Collection[str], *, repeated: str | None = None) -> str:
    """The error for an unknown value, with a suggestion and all known values.

    Args:
        repeated: The option, if it is repeatable.
    """
    words = several(value)
    if len(words) > 1 and all(word in known for word in words):
        each = f"repeat the option, `{' '.join(f'{repeated} {word}' for word in words)}`"
        return f"{value!r} is several values: {each if repeated else 'give one'}"
    return suggestions.unknown(value, known)
