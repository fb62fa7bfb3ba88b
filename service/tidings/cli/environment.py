"""`tidings settings`: every environment variable, its meaning, its default and what it is now."""

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
"""Before what a variable means."""


def settings(
    changed: Annotated[
        bool, typer.Option("--changed", help="Only those that are set here.")
    ] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Names, defaults and meanings, for a document.")
    ] = False,
    write: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Bring the table in this document up to date."),
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Exit with 1 where its table is not current."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show every environment variable: what it means, its default, what it is now. Secrets are hidden.

    A value may also come from a file named like the variable in the folder TIDINGS_SECRETS_DIR,
    and a secret from the file that the variable with _FILE at its end names.

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
        out.print("No variable of Tidings is set: every default holds.")


def _lines(chosen: Sequence[Variable]) -> Iterator[Sentence]:
    """`name = value` and what it means, under the heading of each section."""
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
