"""Writes the table of all settings into a document."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Final

from tidings.cli.files import text_of, write_text
from tidings.delivery.errors import Refused
from tidings.settings.variables import Variable

BEGIN: Final = "<!-- settings -->"
END: Final = "<!-- /settings -->"


def markdown(every: Iterable[Variable]) -> str:
    """A table for each section."""
    return "\n".join(_lines(every)).strip()


def brought_up_to_date(document: str, every: Iterable[Variable]) -> str:
    """The document with the table between its markers replaced.

    Raises:
        Refused: It has no markers for the table.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise Refused(f"the document has no markers for the table: write {BEGIN} and {END} into it")
    return f"{before}{begin}\n\n{markdown(every)}\n\n{end}{after}"


def check(path: Path, every: Iterable[Variable]) -> None:
    """Check that a document's table is current.

    Raises:
        Refused: It is not.
        typer.BadParameter: It can't be read.
    """
    document = text_of("--check", path)
    if brought_up_to_date(document, every) != document:
        raise Refused(f"the table in {path} is not current: run `make schemas`")


def write(path: Path, every: Iterable[Variable]) -> None:
    """Update a document's table. Raises like `check`."""
    write_text("--write", path, brought_up_to_date(text_of("--write", path), every))


def _lines(every: Iterable[Variable]) -> Iterator[str]:
    for section, members in groupby(every, lambda variable: variable.section):
        yield from (
            f"### {section.rstrip('.')}",
            "",
            "| variable | default | meaning |",
            "|---|---|---|",
        )
        yield from map(_row, members)
        yield ""


def _row(variable: Variable) -> str:
    default = f"`{variable.default}`" if variable.default else ""
    return f"| `{variable.name}` | {default} | {variable.meaning.replace('|', chr(92) + '|')} |"
