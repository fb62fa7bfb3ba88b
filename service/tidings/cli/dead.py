"""`tidings dead list | show | groups | edit | discard`: what was not delivered, and what to do about it."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Annotated

import typer

from tidings.cli import letter_options as which
from tidings.cli.commands import Commands
from tidings.cli.console import err, out, print_json, run
from tidings.cli.dead_discard import discard
from tidings.cli.dead_edit import edit
from tidings.cli.harmless import escape
from tidings.cli.hints import next_page, nothing_matches
from tidings.cli.letter_views import groups_table, letters_table, told
from tidings.cli.options import AsJson, Before, Reveal, open_ledger
from tidings.cli.ways_on import ways_of_groups
from tidings.delivery.burying import refusal
from tidings.delivery.id_prefix import IdPrefix
from tidings.ledger.dead_letters.rows import StoredLetter
from tidings.ledger.dead_letters.search import Group, LetterFilter
from tidings.ledger.notifications.stories import Recipient
from tidings.operations.dead_letters.views import letter_as_data
from tidings.operations.masks import discreet
from tidings.operations.recipients import recipients_as_data
from tidings.settings import Settings

app = Commands(
    help="What was not delivered: look at it, mend it, close it. `tidings replay` sends it again.",
    no_args_is_help=True,
)

app.command()(edit)
app.command()(discard)

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
    to: which.Recipient = None,
    id_prefix: which.WithId = None,
    state: which.States = None,
    limit: Limit = 25,
    before: Before = None,
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
        recipient=to,
        id_prefix=id_prefix,
        states=which.states_of(state),
    )
    found, count = run(_list(wanted, limit, before))
    if as_json:
        print_json([letter_as_data(one, reveal=reveal) for one in found])
    elif not found:
        nothing_matches(category, wanted.entity_type, otherwise=_none(wanted, state, before))
    else:
        out.print(letters_table(found, datetime.now(UTC), reveal=reveal))
        if count > len(found):
            more = f"{count - len(found):,} more: `{escape(next_page(found[-1].id))}`"
            err.print(f"[dim]{more}; `tidings dead groups` sums them up.[/]")


@app.command()
def groups(
    channel: which.Channel = None,
    reason: which.Why = None,
    since: which.Since = None,
    until: which.Until = None,
    max_age: which.MaxAge = None,
    category: which.Category = None,
    to: which.Recipient = None,
    id_prefix: which.WithId = None,
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
        recipient=to,
        id_prefix=id_prefix,
        states=which.states_of(state),
    )
    found = run(_groups(wanted, limit))
    if as_json:
        print_json([{**asdict(one), "message": discreet(one.message)} for one in found])
    elif not found:
        nothing_matches(category, wanted.entity_type, otherwise=_none(wanted, state))
    else:
        out.print(groups_table(found, datetime.now(UTC)))
        for how in ways_of_groups([one.reason for one in found]):
            err.print(f"[dim]{how}[/]")


@app.command()
def show(
    id: which.OneId,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw",
            help="Write its body byte for byte, with all that is said to whom, to a file or a pipe.",
        ),
    ] = False,
    as_json: AsJson = False,
    reveal: Reveal = False,
) -> None:
    """Show everything about one dead letter.

    Examples:
      [bold]tidings dead show 1f0c52a6 --reveal[/]
      [bold]tidings dead show 1f0c52a6 --raw > letter.json[/]
    """
    if raw and sys.stdout.isatty():
        raise typer.BadParameter(
            "a terminal would obey what is in it: write it to a file (> letter.json), or look at it "
            "with --reveal",
            param_hint="--raw",
        )
    letter, body, results, closed = run(_show(id))
    if raw:
        sys.stdout.buffer.write(body)
        sys.stdout.buffer.flush()
    elif as_json:
        text = body.decode("utf-8", "replace") if reveal else None
        named = {"recipients": recipients_as_data(results, reveal=reveal)}
        data = {**letter_as_data(letter, reveal=reveal), **named}
        print_json({**data, **({"body": text} if reveal else {})})
    else:
        now = datetime.now(UTC)
        out.print(told(letter, body, results, now, reveal=reveal, closed=closed))


def _none(
    wanted: LetterFilter,
    state: Sequence[which.WhichState] | None,
    before: IdPrefix | None = None,
) -> str | None:
    """What is said of an empty list where nothing was asked for."""
    return None if wanted.selects or state or before else "No dead letter is open."


async def _show(
    id: IdPrefix,
) -> tuple[StoredLetter, bytes, tuple[Recipient, ...], str | None]:
    """A letter, its body, what became of each recipient, and why it can't be sent again, whatever is in it."""
    letter, body = await which.find(id)
    if letter.notification_id is None:
        return letter, body, (), None
    async with open_ledger(Settings()) as ledger:
        results = await ledger.reports.recipients(letter.notification_id, letter.epoch)
        standing = await ledger.reports.standing(letter.notification_id)
    closed = refusal(standing, letter.epoch, force=False) if standing else None
    return letter, body, results, closed.why if closed else None


async def _list(
    wanted: LetterFilter, limit: int, before: IdPrefix | None
) -> tuple[Sequence[StoredLetter], int]:
    async with open_ledger(Settings()) as ledger:
        older = await ledger.letters.search.resolve(before) if before else None
        wanted = replace(wanted, before=older)
        found = await ledger.letters.search.list(wanted, limit)
        more = len(found) == limit
        return found, await ledger.letters.search.count(wanted) if more else len(found)


async def _groups(wanted: LetterFilter, limit: int) -> Sequence[Group]:
    async with open_ledger(Settings()) as ledger:
        return await ledger.letters.search.groups(wanted, limit)
