"""`tidings settings`: every setting, its value, default and meaning."""

import os
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Group
from rich.text import Text

from tidings.cli import settings_document as document
from tidings.cli.console import err, guarded, out, print_json
from tidings.cli.options import AsJson
from tidings.cli.rows import cell
from tidings.cli.sentences import Sentence
from tidings.cli.terminal import escape
from tidings.settings import Settings
from tidings.settings.variables import Variable, unknown, variables

MEANING: Final = Text("    ")
"""Indents the meaning of a setting."""


def settings(
    changed: Annotated[
        bool, typer.Option("--changed", help="Only the settings that are set.")
    ] = False,
    markdown: Annotated[
        bool,
        typer.Option("--markdown", help="Print a Markdown table of names, defaults and meanings."),
    ] = False,
    write: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Update the table in this document."),
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Check the table in this document: exit code 1 if it is not current.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show every setting: its value, default and meaning. Secrets are hidden.

    Settings are environment variables. A value may also be in a file with the variable's name in TIDINGS_SECRETS_DIR; a
    secret also in the file that VARIABLE_FILE names.

    Example: [bold]tidings settings --changed[/]
    """
    known = guarded(lambda: list(variables(Settings())))
    for variable in guarded(lambda: list(unknown(Settings(), os.environ))):
        err.print(f"[yellow]![/] {escape(variable.message)}")
    chosen = [variable for variable in known if variable.is_set or not changed]
    if write is not None:
        guarded(lambda: document.write(write, known))
    if check is not None:
        guarded(lambda: document.check(check, known))
    if write is None and check is None:
        _print_variables(chosen, markdown=markdown, as_json=as_json)


def _print_variables(chosen: Sequence[Variable], *, markdown: bool, as_json: bool) -> None:
    if as_json:
        print_json(chosen)
    elif markdown:
        out.out(document.markdown(chosen), highlight=False)
    elif chosen:
        out.print(Group(*_lines(chosen)))
    else:
        out.print("No setting is set; all have their defaults.")


def _lines(chosen: Sequence[Variable]) -> Iterator[Sentence]:
    """`name = value` and its meaning, under the heading of each section."""
    for place, (section, members) in enumerate(groupby(chosen, lambda variable: variable.section)):
        yield Sentence(Text("\n" * bool(place) + section, "bold"), hanging=0)
        for variable in members:
            yield Sentence(
                Text.assemble(
                    (variable.name, "green" if variable.is_set else ""), " = ", _value(variable)
                )
            )
            yield Sentence(Text(variable.meaning, "dim"), MEANING, hanging=0)


def _value(variable: Variable) -> Text:
    value = cell(variable.value) if variable.value else Text("empty", "dim")
    if not variable.is_set:
        return value
    default = cell(variable.default or "empty")
    return Text.assemble((value.plain, "green"), (f" (default: {default})", "dim"))
