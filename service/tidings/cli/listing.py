"""`tidings list`: the notifications that match the filters."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Final

import typer
from rich.text import Text

from tidings.cli import list_filters as which
from tidings.cli.console import err, out, print_json
from tidings.cli.hints import print_next_page, print_no_match, print_unlisted_dead_letters
from tidings.cli.options import AsJson, Cursor, Reveal, Tenant, ask
from tidings.cli.rows import Row, Rows, cell
from tidings.cli.show import STYLES
from tidings.delivery.states import State
from tidings.operations import notifications
from tidings.operations.notifications import Filters, ListedView, ListRequest, NotificationSummary
from tidings.operations.times import ago, exact, untried
from tidings_events import CHANNELS

LEAST: Final = {
    "When": len("59m ago"),
    "Channel": max(map(len, CHANNELS)),
    "State": len("suppressed"),
}
"""Minimum widths, so that columns keep their place from call to call."""


def list_(
    channels: which.Channels = None,
    states: which.States = None,
    priorities: which.Priorities = None,
    tenant: Tenant = None,
    categories: which.Categories = None,
    users: which.Users = None,
    entities: which.Entities = None,
    recipients: which.Recipients = None,
    templates: which.Templates = None,
    providers: which.Providers = None,
    error_classes: which.ErrorClasses = None,
    subject: which.Subject = None,
    since: which.Since = None,
    until: which.Until = None,
    overdue: which.Overdue = False,
    test: which.Test = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=10_000, help="Maximum number to list.")
    ] = 25,
    cursor: Cursor = None,
    as_json: AsJson = False,
    reveal: Reveal = False,
) -> None:
    """List notifications, newest first.

    Of an option that is given several times, one of its values has to match. The filters are those of
    `GET /v1/notifications`.

    Examples:
      [bold]tidings list --channel email --state failed --since 24h[/]
      [bold]tidings list --user-id user-4711 --subject "order 10042" --error-class unavailable[/]
    """
    filters = which.filters_of(
        channels=channels,
        states=states,
        priorities=priorities,
        tenant=tenant,
        categories=categories,
        users=users,
        entities=entities,
        recipients=recipients,
        templates=templates,
        providers=providers,
        error_classes=error_classes,
        subject=subject,
        since=since,
        until=until,
        overdue=overdue,
        test=test,
    )
    request = ListRequest(filters, limit, reveal, cursor)
    page = ask(lambda backend: notifications.list_(backend, request))
    found = page.data
    if as_json:
        print_json(page)
    elif not found and page.searched_since is None:
        none = "No notifications yet." if filters == Filters() and not cursor else None
        print_no_match(filters, otherwise=none)
    elif found:
        out.print(table(found, datetime.now(UTC)))
    if page.searched_since is not None:
        err.print(
            f"[dim]Searched only notifications accepted since {exact(page.searched_since)}.[/]"
        )
    if not as_json:
        print_next_page(page)
        print_unlisted_dead_letters(page.dead_letters_alone)


def table(found: Sequence[ListedView], now: datetime) -> Rows:
    """A row for each notification, with the reason if it failed or waits."""
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
    """The reason and the error, if it failed."""
    if summary.state in {State.SENT, State.DELIVERED, State.QUEUED, State.SCHEDULED}:
        return ""
    reason = untried(summary.attempts_made) if summary.untried else summary.reason
    parts = (reason, summary.failure_code, summary.failure_message)
    return " · ".join(part for part in parts if part)
