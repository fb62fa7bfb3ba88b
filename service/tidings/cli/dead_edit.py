"""`tidings dead edit`: mends a letter, and keeps the one it was."""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from rich.markup import escape

from tidings.cli import letter_options as which
from tidings.cli.console import FAULT, err, fail, guarded, out, run
from tidings.cli.editor import edit_text
from tidings.cli.options import open_ledger
from tidings.cli.replay import replay_letters
from tidings.cli.replay_report import show_summary
from tidings.cli.veil import printable
from tidings.dead_letters.editing import Unreadable, checked, difference, readable, with_fields
from tidings.dead_letters.policies import Policies
from tidings.dead_letters.replay import Plan, Summary
from tidings.delivery.errors import Refused
from tidings.delivery.letter import LetterState
from tidings.ledger.letter_search import LetterFilter, Selection
from tidings.settings import Settings

STYLES = {"+": "green", "-": "red", "@": "cyan"}


def edit(
    id: which.OneId,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="Set one field, e.g. recipient=ada@example.com or entity.id=7; may be given several times. "
            "A value is JSON, or else text; a number as text: user_id='\"42\"'.",
            show_default=False,
        ),
    ] = None,
    file: Annotated[
        str | None,
        typer.Option("--file", help="Take the whole body from this file; - is standard input."),
    ] = None,
    replay: Annotated[
        bool, typer.Option("--replay", help="Send it on its way right after.")
    ] = False,
) -> None:
    """Mend a dead letter: in your editor, field by field, or from a file.

    The edited letter stands in the place of the old one, which stays
    readable as superseded. It has to be a notification that can be read,
    with the id it had.

    Examples:
      [bold]tidings dead edit 1f0c52a6[/]
      [bold]tidings dead edit 1f0c52a6 --set recipient=ada@example.com --replay[/]
      [bold]tidings dead edit 1f0c52a6 --file mended.json[/]
    """
    if assignments and file:
        raise typer.BadParameter("give --set or --file, not both")
    letter, before = run(which.find(id))
    if letter.state is not LetterState.BURIED:
        fail(Refused(f"letter {letter.id} is {letter.state}: only a buried one can be edited"))
    after = _edited(before, assignments or [], file)
    changes = list(difference(before, after))
    if after == before or not changes:
        out.print("Nothing changed.")
        return
    for line in changes:
        out.print(f"[{STYLES.get(line[:1], 'default')}]{escape(printable(line))}[/]")
    new = run(_supersede(letter.id, after))
    out.print(f"Letter {new} stands in the place of {letter.id}.")
    if replay:
        _replay(new)


def _edited(before: bytes, assignments: Sequence[str], file: str | None) -> bytes:
    try:
        if file is not None:
            after = _read(file)
        elif assignments:
            after = guarded(lambda: with_fields(before, assignments))
        else:
            return _in_the_editor(before)
        checked(after)
    except Unreadable as unreadable:
        _explain(unreadable)
        raise typer.Exit(FAULT) from None
    return after


def _in_the_editor(before: bytes) -> bytes:
    """Until it can be read, or its editor gives up."""
    first = text = readable(before)
    while True:
        text = guarded(partial(edit_text, text, "letter.json"))
        if text == first:
            return before
        after = text.encode("utf-8", "surrogateescape")
        try:
            checked(after)
        except Unreadable as unreadable:
            _explain(unreadable)
            typer.confirm("Edit it again?", default=True, abort=True, err=True)
        else:
            return after


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}", param_hint="--file") from None


def _explain(unreadable: Unreadable) -> None:
    err.print("[bold red]This can't be read as a notification:[/]")
    for problem in unreadable.problems:
        err.print(f"  · {escape(printable(problem))}")


async def _supersede(letter: UUID, body: bytes) -> UUID:
    settings = Settings()
    async with open_ledger(settings) as ledger:
        return await ledger.letters.closings.supersede(
            letter, body, expires_at=Policies(settings).expires_at
        )


def _replay(letter: UUID) -> None:
    summary, selection = run(_sent_again(letter))
    show_summary(summary, selection, as_json=False)
    if not summary.well:
        raise typer.Exit(FAULT)


async def _sent_again(letter: UUID) -> tuple[Summary, Selection]:
    settings = Settings()
    async with open_ledger(settings) as ledger:
        selection = await ledger.letters.search.select(LetterFilter(ids=(letter,)))
        return await replay_letters(settings, ledger, selection, Plan()), selection
