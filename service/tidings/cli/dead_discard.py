"""`tidings dead discard`: closes letters for good."""

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Final
from uuid import UUID

import typer

from tidings.cli import letter_options as which
from tidings.cli.commands import Unclear
from tidings.cli.console import FAULT, err, out, print_json, run
from tidings.cli.hints import say_what_is_near
from tidings.cli.letter_views import letters_table
from tidings.cli.options import AsJson, actor, open_ledger
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.letter import LetterState
from tidings.ledger.dead_letters.rows import StoredLetter
from tidings.ledger.dead_letters.search import LetterFilter
from tidings.operations.times import counted
from tidings.settings import Settings

CLOSED_AT_ONCE: Final = 1_000
SHOWN: Final = 20
SAMPLE: Final = 10
NOT_BURIED: Final = {
    LetterState.BURIED: "it was taken by another command for a moment: try again",
    LetterState.REPLAYING: "it is being replayed",
    LetterState.REPLAYED: "it was replayed already",
    LetterState.DISCARDED: "it was discarded already",
    LetterState.SUPERSEDED: "it was edited: discard the letter that stands in its place",
}
"""Why a letter is not discarded, by its state."""


def discard(
    ids: which.Ids = None,
    why: Annotated[
        str | None,
        typer.Option(
            "--why",
            help="Kept with the letter and in its notification's history. Needed, but for --dry-run.",
        ),
    ] = None,
    channel: which.Channel = None,
    reason: which.Why = None,
    fingerprint: which.Fingerprint = None,
    since: which.Since = None,
    until: which.Until = None,
    max_age: which.MaxAge = None,
    user: which.User = None,
    entity: which.Entity = None,
    category: which.Category = None,
    to: which.Recipient = None,
    id_prefix: which.WithId = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only say how many would be discarded, and show some."),
    ] = False,
    yes: which.Yes = False,
    as_json: AsJson = False,
) -> None:
    """Close dead letters for good: they stay readable and are never replayed.

    Exits with 1 where one of those named was no longer buried.

    Examples:
      [bold]tidings dead discard --fingerprint 6b1f03 --dry-run[/]
      [bold]tidings dead discard --fingerprint 6b1f03 --why "test data"[/]
    """
    if why is None and not dry_run:
        raise Unclear("Missing option '--why'.")
    if why is not None and not why.strip():
        raise typer.BadParameter("it is empty; say why, in a few words", param_hint="--why")
    wanted = which.letter_filter(
        channel=channel,
        reason=reason,
        fingerprint=fingerprint,
        since=since,
        until=until,
        max_age=max_age,
        user=user,
        entity=entity,
        category=category,
        recipient=to,
        id_prefix=id_prefix,
        states=(LetterState.BURIED,),
    )
    if not (ids or wanted.selects):
        raise Unclear("say which letters: ids or filters")
    chosen = run(_chosen(wanted, ids or []))
    if not chosen:
        say_what_is_near(category, wanted.entity_type)
    if why is None or dry_run:
        _rehearse(chosen, named=bool(ids), as_json=as_json)
        return
    if chosen and not (yes or ids):
        if not sys.stdin.isatty():
            raise Unclear(
                f"{counted(len(chosen), 'letter')} would be discarded and nobody is there to ask: give --yes, "
                "or look first with --dry-run"
            )
        typer.confirm(f"Discard {counted(len(chosen), 'letter')} for good?", abort=True, err=True)
    closed = run(_discard(chosen, why.strip()))
    left = set(chosen).difference(closed)
    _tell(closed, [one for one in chosen if one in left], as_json=as_json)


def _rehearse(chosen: Sequence[UUID], *, named: bool, as_json: bool) -> None:
    """Say what would be discarded; what filters find is buried, of those named not all may be."""
    letters = run(_letters(chosen if named else chosen[:SAMPLE]))
    states = {one.id: one.state for one in letters}
    left = [one for one in chosen if states.get(one, LetterState.BURIED) is not LetterState.BURIED]
    ready = [one for one in chosen if states.get(one, LetterState.BURIED) is LetterState.BURIED]
    if as_json:
        print_json({"would_discard": ready, "not_buried": left})
    else:
        if ready:
            sample = [one for one in letters if one.state is LetterState.BURIED][:SAMPLE]
            out.print(letters_table(sample, datetime.now(UTC), reveal=False))
        many = counted(len(ready), "letter")
        out.print(f"{many} would be discarded." if ready else "There is nothing to discard.")
        _say_why_not(left, states)
    if left:
        raise typer.Exit(FAULT)


def _tell(closed: Sequence[UUID], left: Sequence[UUID], *, as_json: bool) -> None:
    if as_json:
        print_json({"discarded": closed, "not_buried": left})
    else:
        many = counted(len(closed) + len(left), "letter")
        out.print(f"Discarded {len(closed):,} of {many}.")
        left = sorted(left)
        states = {one.id: one.state for one in run(_letters(left[:SHOWN]))} if left else {}
        _say_why_not(left, states)
    if left:
        raise typer.Exit(FAULT)


def _say_why_not(left: Sequence[UUID], states: Mapping[UUID, LetterState]) -> None:
    """What the letters are that are left as they are."""
    for one in left[:SHOWN]:
        err.print(
            f"  {one}: {NOT_BURIED[states[one]]}" if one in states else f"  {one}: it is gone"
        )
    if len(left) > SHOWN:
        err.print(f"  … and {len(left) - SHOWN:,} more: --json names them all")


async def _letters(ids: Sequence[UUID]) -> Sequence[StoredLetter]:
    if not ids:
        return ()
    async with open_ledger(Settings()) as ledger:
        return await ledger.letters.search.list(LetterFilter(ids=tuple(ids)), len(ids))


async def _chosen(wanted: LetterFilter, ids: Sequence[IdPrefix]) -> Sequence[UUID]:
    async with open_ledger(Settings()) as ledger:
        if ids:
            return (await which.with_ids(ledger, wanted, ids)).ids
        return await ledger.letters.search.ids(wanted)


async def _discard(chosen: Sequence[UUID], why: str) -> list[UUID]:
    closed: list[UUID] = []
    async with open_ledger(Settings()) as ledger:
        for start in range(0, len(chosen), CLOSED_AT_ONCE):
            some = chosen[start : start + CLOSED_AT_ONCE]
            closed += await ledger.letters.closings.discard(some, why, actor=str(actor()))
    return closed
