"""`tidings dead list | show | groups | edit | discard`: what was not delivered, and what to do about it."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Final
from uuid import UUID

import typer

from tidings.cli import letter_options as which
from tidings.cli.console import FAULT, err, out, print_json, run
from tidings.cli.dead_edit import edit
from tidings.cli.letter_views import as_data, groups_table, letters_table, told
from tidings.cli.options import AsJson, Reveal, open_ledger, paper
from tidings.delivery.letter import LetterState
from tidings.ledger.letter_rows import StoredLetter
from tidings.ledger.letter_search import Group, LetterFilter
from tidings.settings import Settings

CLOSED_AT_ONCE: Final = 1_000

app = typer.Typer(
    help="What was not delivered: look at it, mend it, close it. `tidings replay` sends it again.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

app.command()(edit)

Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="At most so many.")]


@app.command("list")
def list_(
    channel: which.Channel = None,
    reason: which.Why = None,
    fingerprint: which.Fingerprint = None,
    since: which.Since = None,
    until: which.Until = None,
    max_age: which.MaxAge = None,
    user: which.User = None,
    entity: which.Entity = None,
    category: which.Category = None,
    state: which.States = None,
    limit: Limit = 25,
    as_json: AsJson = False,
    reveal: Reveal = False,
) -> None:
    """List dead letters, newest first.

    Example: [bold]tidings dead list --channel email --reason rejected --max-age 24h[/]
    """
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
        states=state or which.OPEN,
    )
    found, count = run(_list(wanted, limit))
    if as_json:
        print_json([as_data(one, reveal=reveal) for one in found])
    elif not found:
        err.print("Nothing matches.")
    else:
        console = paper()
        console.print(letters_table(found, datetime.now(UTC), reveal=reveal, width=console.width))
        if count > len(found):
            err.print(f"[dim]{count - len(found):,} more: `tidings dead groups` sums them up.[/]")


@app.command()
def groups(
    channel: which.Channel = None,
    reason: which.Why = None,
    since: which.Since = None,
    until: which.Until = None,
    max_age: which.MaxAge = None,
    category: which.Category = None,
    state: which.States = None,
    limit: Limit = 25,
    as_json: AsJson = False,
) -> None:
    """Sum up dead letters that died of the same fault, the most frequent first.

    Example: [bold]tidings dead groups --max-age 7d[/]
    """
    wanted = which.letter_filter(
        channel=channel,
        reason=reason,
        fingerprint=None,
        since=since,
        until=until,
        max_age=max_age,
        user=None,
        entity=None,
        category=category,
        states=state or which.OPEN,
    )
    found = run(_groups(wanted, limit))
    if as_json:
        print_json([asdict(one) for one in found])
    elif not found:
        err.print("Nothing matches.")
    else:
        console = paper()
        console.print(groups_table(found, datetime.now(UTC), width=console.width))
        err.print("[dim]One group again: tidings replay --fingerprint GROUP --canary 1,10,100[/]")


@app.command()
def show(
    id: which.OneId,
    raw: Annotated[
        bool, typer.Option("--raw", help="Write its body to standard output, byte for byte.")
    ] = False,
    as_json: AsJson = False,
    reveal: Reveal = False,
) -> None:
    """Show everything about one dead letter.

    Examples:
      [bold]tidings dead show 1f0c52a6 --reveal[/]
      [bold]tidings dead show 1f0c52a6 --raw > letter.json[/]
    """
    letter, body = run(which.find(id))
    if raw:
        sys.stdout.buffer.write(body)
        sys.stdout.buffer.flush()
    elif as_json:
        text = body.decode("utf-8", "replace") if reveal else None
        print_json({**as_data(letter, reveal=reveal), **({"body": text} if reveal else {})})
    else:
        out.print(told(letter, body, datetime.now(UTC), reveal=reveal))


@app.command()
def discard(
    ids: which.Ids = None,
    why: Annotated[
        str, typer.Option("--why", help="Kept with the letter and in its notification's history.")
    ] = "",
    channel: which.Channel = None,
    reason: which.Why = None,
    fingerprint: which.Fingerprint = None,
    since: which.Since = None,
    until: which.Until = None,
    max_age: which.MaxAge = None,
    user: which.User = None,
    entity: which.Entity = None,
    category: which.Category = None,
    yes: which.Yes = False,
    as_json: AsJson = False,
) -> None:
    """Close dead letters for good: they stay readable and are never replayed.

    Exits with 1 where one of those named was no longer buried.

    Example: [bold]tidings dead discard --fingerprint 6b1f03 --why "test data"[/]
    """
    if not why.strip():
        raise typer.BadParameter("say why, in a few words", param_hint="--why")
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
        states=(LetterState.BURIED,),
    )
    if not (ids or wanted.selects):
        raise typer.BadParameter("say which letters: ids or filters")
    chosen = run(_chosen(wanted, ids or []))
    if chosen and not (yes or ids):
        if not sys.stdin.isatty():
            raise typer.BadParameter(
                f"{len(chosen):,} letters match and nobody is there to ask: give --yes"
            )
        typer.confirm(f"Discard {len(chosen):,} letters for good?", abort=True, err=True)
    closed = run(_discard(chosen, why.strip()))
    if as_json:
        print_json(
            {"discarded": closed, "not_buried": [one for one in chosen if one not in set(closed)]}
        )
    else:
        out.print(f"Discarded {len(closed):,} of {len(chosen):,} letters.")
    if len(closed) < len(chosen):
        raise typer.Exit(FAULT)


async def _list(wanted: LetterFilter, limit: int) -> tuple[Sequence[StoredLetter], int]:
    async with open_ledger(Settings()) as ledger:
        found = await ledger.letters.search.list(wanted, limit)
        more = len(found) == limit
        return found, await ledger.letters.search.count(wanted) if more else len(found)


async def _groups(wanted: LetterFilter, limit: int) -> Sequence[Group]:
    async with open_ledger(Settings()) as ledger:
        return await ledger.letters.search.groups(wanted, limit)


async def _chosen(wanted: LetterFilter, ids: Sequence[str]) -> Sequence[UUID]:
    async with open_ledger(Settings()) as ledger:
        if ids:
            return (await which.with_ids(ledger, wanted, ids)).ids
        return await ledger.letters.search.ids(wanted)


async def _discard(chosen: Sequence[UUID], why: str) -> list[UUID]:
    closed: list[UUID] = []
    async with open_ledger(Settings()) as ledger:
        for start in range(0, len(chosen), CLOSED_AT_ONCE):
            some = chosen[start : start + CLOSED_AT_ONCE]
            closed += await ledger.letters.closings.discard(some, why)
    return closed
