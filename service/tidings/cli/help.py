"""Prints the help of commands."""

import inspect
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from rich.text import Text

from tidings.cli.console import out
from tidings.cli.sentences import HANGING, Sentence
from tidings.cli.terminal import escape, unwrapped

LONGEST: Final = 28
"""Columns of an option's name; the description of a longer one starts on the next line."""
TYPES: Final = {
    "<str>": "TEXT",
    "<list[str]>": "TEXT",
    "<int>": "NUMBER",
    "<int range>": "NUMBER",
    "<uuid>": "ID",
    "<path>": "PATH",
}


def show_help(command: Any, ctx: Any) -> None:
    """Print the help of a command or group."""
    out.print(Sentence(out.render_str(f"[bold]Usage:[/] {escape(_usage(command, ctx))}")))
    for line in ("", *prose(command.help or "")):
        hanging = HANGING if line.startswith("Example") else 0
        out.print(Sentence(out.render_str(line), hanging=hanging))
    arguments: list[tuple[str, str]] = []
    options: list[tuple[str, str]] = []
    for param in command.get_params(ctx):
        if record := param.get_help_record(ctx):
            if param.param_type_name == "argument":
                arguments.append((_name(param), record[1]))
            else:
                options.append(_entry(*record))
    _section("Arguments", arguments)
    _section("Options", options)
    for title, below in _below(command, ctx):
        _section(title, below)


def prose(text: str) -> Iterator[str]:
    """Paragraphs as one line each; indented or bold lines are examples and stay separate."""
    for place, paragraph in enumerate(inspect.cleandoc(text).split("\n\n")):
        if place:
            yield ""
        line = ""
        for part in paragraph.split("\n"):
            if part.startswith((" ", "[bold]")):
                yield from [line] if line else []
                yield part if part.startswith(" ") else f"  {part}"
                line = ""
            else:
                line = f"{line} {part}".lstrip()
        yield from [line] if line else []


def _usage(command: Any, ctx: Any) -> str:
    arguments = [
        _typed(param) for param in command.get_params(ctx) if param.param_type_name == "argument"
    ]
    below = ["COMMAND [ARGS]..."] if hasattr(command, "list_commands") else []
    return " ".join([ctx.command_path, "[OPTIONS]", *arguments, *below])


def _typed(argument: Any) -> str:
    """For example `ID`, `[PROVIDER]` (optional) or `[ID]...` (repeatable)."""
    name = _name(argument) if argument.required else f"[{_name(argument)}]"
    return name if argument.nargs == 1 else f"{name}..."


def _name(argument: Any) -> str:
    return re.sub(r"[^A-Z]", "", (argument.metavar or argument.name).upper())


def _entry(name: str, meaning: str) -> tuple[str, str]:
    """The name with the type of its value, and the description with the known values."""
    kind = re.search(r"<[^>]*>$", name)
    if kind is None:
        return name, meaning
    words = kind[0].strip("<>").removeprefix("list[").removesuffix("]")
    if "|" in words:
        meaning = f"{meaning} One of {words.replace('|', ', ')}."
    shown = "WORD" if "|" in words else TYPES.get(kind[0], words.upper())
    return f"{name[: kind.start()]}{shown}", meaning


def _section(title: str, entries: Iterable[tuple[str, str]]) -> None:
    listed = list(entries)
    if not listed:
        return
    most = min(LONGEST, out.width // 3)
    widest = max((len(name) for name, _ in listed if len(name) <= most), default=most)
    out.print(f"\n[bold]{title}[/]")
    for name, meaning in listed:
        named = Text(f"  {name:<{widest}}  ", "cyan")
        if len(name) > widest:
            out.print(unwrapped(named))
            named = Text(" " * (widest + 4))
        out.print(Sentence(out.render_str(_escape_brackets(meaning)), named, hanging=0))


def _escape_brackets(meaning: str) -> str:
    """Escape the brackets that Typer adds, which are not markup."""
    return re.sub(r"\[(default: |required|x>)", r"\\[\1", meaning)


def _below(command: Any, ctx: Any) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """The subcommands by heading."""
    names: Iterable[str] = getattr(command, "list_commands", lambda _: [])(ctx)
    every = [command.get_command(ctx, name) for name in names]
    panels: dict[str, list[tuple[str, str]]] = {}
    for command_below in every:
        panel = getattr(command_below, "rich_help_panel", None)
        entries = panels.setdefault(panel if isinstance(panel, str) else "Commands", [])
        if not command_below.hidden:
            entries.append((command_below.name, next(prose(command_below.help or ""), "")))
    yield from panels.items()
