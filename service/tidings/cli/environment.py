"""`tidings settings`: every environment variable, its meaning, its default and what it is now."""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from tidings.cli import settings_document as document
from tidings.cli.console import guarded, out, print_json
from tidings.cli.options import AsJson
from tidings.settings import Settings
from tidings.variables import Variable, variables


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
    every = guarded(lambda: list(variables(Settings())))
    chosen = [one for one in every if one.is_set or not changed]
    if write is not None:
        guarded(lambda: document.write(write, every))
    if check is not None:
        guarded(lambda: document.check(check, every))
    if write is None and check is None:
        _tell(chosen, markdown=markdown, as_json=as_json)


def _tell(chosen: Sequence[Variable], *, markdown: bool, as_json: bool) -> None:
    if as_json:
        print_json([asdict(one) for one in chosen])
    elif markdown:
        out.out(document.markdown(chosen), highlight=False)
    elif chosen:
        out.print(_table(chosen))
    else:
        out.print("No variable of Tidings is set: every default holds.")


def _table(chosen: Sequence[Variable]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    for section, members in groupby(chosen, lambda one: one.section):
        table.add_row(f"\n[bold]{escape(section)}[/]")
        for one in members:
            name = f"[green]{one.name}[/]" if one.is_set else one.name
            table.add_row(name, f"{_value(one)}\n[dim]{escape(one.meaning)}[/]")
    return table


def _value(one: Variable) -> str:
    value = escape(one.value) or "[dim]empty[/]"
    if not one.is_set:
        return value
    return f"[green]{value}[/] [dim](default: {escape(one.default) or 'empty'})[/]"
