"""`tidings dead discard`: closes dead letters permanently."""

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Final
from uuid import UUID

import typer

from tidings.cli import dead_letter_options as which
from tidings.cli.console import FAULT, Unclear, err, out, print_json
from tidings.cli.dead_letter_views import dead_letters_table
from tidings.cli.hints import print_suggestions
from tidings.cli.options import AsJson, actor, ask
from tidings.delivery.dead_letter import DeadLetterState
from tidings.operations.dead_letters import discards
from tidings.operations.dead_letters.discards import DiscardDryRun, DiscardRequest
from tidings.operations.dead_letters.query import DeadLetterQuery
from tidings.operations.times import counted

NOT_OPEN: Final = {
    DeadLetterState.OPEN: "another command was using it: try again",
    DeadLetterState.REPLAYING: "it is being replayed",
    DeadLetterState.REPLAYED: "it was already replayed",
    DeadLetterState.DISCARDED: "it was already discarded",
    DeadLetterState.SUPERSEDED: "it was edited: discard the dead letter that replaced it",
}
"""Why a dead letter in this state is not discarded."""


@which.about_dead_letters(ids=True)
def discard(
    *,
    note: Annotated[
        str | None,
        typer.Option(
            "--note",
            help="Note for the dead letter and the notification's history; required, except with --dry-run.",
        ),
    ] = None,
    query: DeadLetterQuery,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show what would be discarded, and change nothing."),
    ] = False,
    yes: which.Yes = False,
    as_json: AsJson = False,
) -> None:
    """Discard dead letters permanently.

    They stay readable and can't be replayed. Exit code 1 if one of the given ids is not open.

    Examples:
      [bold]tidings dead discard --fingerprint 6b1f03 --dry-run[/]
      [bold]tidings dead discard --fingerprint 6b1f03 --note "test data"[/]
    """
    if note is None and not dry_run:
        raise Unclear("Missing option '--note'.")
    if note is not None and not note.strip():
        raise typer.BadParameter("it is empty: give a reason in a few words", param_hint="--note")
    found = ask(lambda backend: discards.preview_discard(backend, query))
    if not found.chosen:
        print_suggestions(query.narrowed)
    if note is None or dry_run:
        _print_dry_run(found, as_json=as_json)
        return
    if found.chosen and not (yes or query.ids):
        many = counted(len(found.chosen), "dead letter")
        if not sys.stdin.isatty():
            raise Unclear(
                f"{many} would be discarded, and standard input is no terminal to confirm on: give --yes, "
                "or check first with --dry-run"
            )
        typer.confirm(f"Discard {many} permanently?", abort=True, err=True)
    request = DiscardRequest(found.chosen, note)
    done = ask(lambda backend: discards.discard(backend, actor(), request))
    if as_json:
        print_json(done.as_data())
    else:
        out.print(f"Discarded {len(done.closed):,} of {counted(len(found.chosen), 'dead letter')}.")
        _print_reasons(sorted(done.left), done.states)
    if done.left:
        raise typer.Exit(FAULT)


def _print_dry_run(found: DiscardDryRun, *, as_json: bool) -> None:
    """Print what would be discarded."""
    if as_json:
        print_json(found.as_data())
    else:
        if found.ready:
            out.print(dead_letters_table(found.sample, datetime.now(UTC)))
        many = counted(len(found.ready), "dead letter")
        out.print(f"{many} would be discarded." if found.ready else "Nothing to discard.")
        _print_reasons(found.left, found.states)
    if found.left:
        raise typer.Exit(FAULT)


def _print_reasons(left: Sequence[UUID], states: Mapping[UUID, DeadLetterState]) -> None:
    """Print why the others are not discarded."""
    for dead_letter in left[: discards.EXPLAINED]:
        err.print(
            f"  {dead_letter}: {NOT_OPEN[states[dead_letter]]}"
            if dead_letter in states
            else f"  {dead_letter}: it no longer exists"
        )
    if len(left) > discards.EXPLAINED:
        err.print(f"  … and {len(left) - discards.EXPLAINED:,} more: --json lists all")
