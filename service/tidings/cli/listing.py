"""`tidings list`: the notifications that match, newest first."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Final

import typer
from rich.text import Text

from tidings.cli import dead_letter_options as which
from tidings.cli.console import err, out, print_json
from tidings.cli.hints import next_page, print_no_match, print_unlisted_dead_letters
from tidings.cli.options import AsJson, Before, Reveal, Tenant, ask, entity_of, parsed
from tidings.cli.rows import Row, Rows, cell
from tidings.cli.show import STYLES
from tidings.cli.terminal import escape
from tidings.delivery.states import State
from tidings.operations import notifications
from tidings.operations.notifications import Filters, ListedView, ListRequest, NotificationSummary
from tidings.operations.times import ago, exact, moment, untried
from tidings_events import CHANNELS

LEAST: Final = {
    "When": len("59m ago"),
    "Channel": max(map(len, CHANNELS)),
    "State": len("suppressed"),
}
"""Columns of what differs from call to call, so that the others stand where they stood."""


def list_(
    channel: which.Channel = None,
    state: Annotated[
        list[State] | None,
        typer.Option("--state", "-s", help="In this state; may be given several times."),
    ] = None,
    tenant: Tenant = None,
    category: which.Category = None,
    user: Annotated[str | None, typer.Option(help="For this `user_id`.")] = None,
    entity: Annotated[
        str | None, typer.Option(metavar="TYPE[:ID]", help="About this, e.g. order:10042.")
    ] = None,
    recipient: Annotated[
        str | None, typer.Option("--to", help="To this recipient, in full as it was published.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="WHEN", help="Accepted since then: 24h, 7d, or a time with offset."),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Accepted before then, written alike.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many.")] = 25,
    before: Before = None,
    as_json: AsJson = False,
    reveal: Reveal = False,
) -> None:
    """List notifications, newest first.

    Example: [bold]tidings list --channel email --state failed --since 24h[/]
    """
    type_, entity_id = entity_of(entity)
    filters = Filters(
        channel=channel,
        states=tuple(state or ()),
        tenant=tenant,
        category=category,
        user_id=user,
        entity_type=type_,
        entity_id=entity_id,
        recipient=recipient,
        since=parsed(moment, since, "--since") if since else None,
        until=parsed(moment, until, "--until") if until else None,
    )
    request = ListRequest(filters, limit, before, reveal)
    page = ask(lambda backend: notifications.list_(backend, request))
    found = page.found
    if as_json:
        print_json(page.as_data())
    elif not found and page.searched_since is None:
        none = "There is no notification yet." if filters == Filters() and not before else None
        print_no_match(filters, otherwise=none)
    elif found:
        out.print(table(found, datetime.now(UTC)))
        if len(found) == limit:
            err.print(f"[dim]There may be more: `{escape(next_page(found[-1].summary.id))}`[/]")
    if page.searched_since is not None:
        _print_search_bound(page.searched_since)
    if not as_json:
        print_unlisted_dead_letters(page.dead_letters_alone)


def _print_search_bound(reached: datetime) -> None:
    """That what is older was not looked through, and how it is."""
    when = reached.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    since = f"Looked through everything accepted since {exact(reached)}, and no further."
    err.print(f"[dim]{since} For older ones: `--until {when}`[/]")


def table(found: Sequence[ListedView], now: datetime) -> Rows:
    """For people: an id to go on with, and why where something went wrong or waits."""
    return Rows(
        ("ID", "When", "Channel", "State", "Attempts", "To"),
        [
            Row(_cells(listed.summary, now), listed.waiting_reason or _why(listed.summary))
            for listed in found
        ],
        least=LEAST,
    )


def _cells(summary: NotificationSummary, now: datetime) -> list[Text]:
    return [
        cell(str(summary.id)),
        cell(ago(summary.accepted_at, now)),
        cell(summary.channel),
        cell(summary.state.value, STYLES[summary.state]),
        cell(str(summary.attempts_made)),
        cell(summary.recipient),
    ]


def _why(summary: NotificationSummary) -> str:
    """In a few words what went wrong, where something did."""
    if summary.state in {State.SENT, State.DELIVERED, State.QUEUED, State.SCHEDULED}:
        return ""
    reason = untried(summary.attempts_made) if summary.untried else summary.reason
    parts = (reason, summary.failure_code, summary.failure_message)
    return " · ".join(part for part in parts if part)
