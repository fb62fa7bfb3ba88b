"""`tidings outbox list | retry | mark-failed | mark-pending`: what was accepted while RabbitMQ was away."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Final
from uuid import UUID

import typer

from tidings.cli import outbox_jobs as by_job
from tidings.cli.console import FAULT, Unclear, err, out, print_json
from tidings.cli.hints import print_next_page
from tidings.cli.options import AsJson, Cursor, StartsIn, Tenant, actor, ask, parsed
from tidings.cli.outbox_tables import table
from tidings.delivery.jobs import JobKind
from tidings.operations import outbox
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.outbox import DecidedView, DecideRequest, EntryStatus
from tidings.operations.times import moment

Ids = Annotated[
    list[UUID] | None,
    typer.Argument(metavar="[ID]...", help="Ids of notifications.", show_default=False),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be changed, and change nothing.")
]
Note = Annotated[str, typer.Option("--note", help="Note for their history.", show_default=False)]
Decision = Callable[[Backend, Actor, DecideRequest], Awaitable[DecidedView]]

SHOWN: Final = 20


def list_(
    status: Annotated[
        list[EntryStatus] | None,
        typer.Option("--status", "-s", help="Only with this status; repeatable."),
    ] = None,
    user: Annotated[str | None, typer.Option(help="Only for this `user_id`.")] = None,
    tenant: Tenant = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=outbox.MOST, help="Maximum number to list.")
    ] = 50,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List what was accepted over HTTP while RabbitMQ was away, newest first.

    Example: [bold]tidings outbox list --status failed --status retrying[/]
    """
    request = outbox.ListOutboxRequest(tuple(status or ()), user, tenant, limit, cursor)
    view = ask(lambda backend: outbox.list_(backend, request))
    if as_json:
        print_json(view)
        return
    if not view.data:
        out.print("The outbox has no such entry.")
        return
    out.print(table([shown.entry for shown in view.data]))
    print_next_page(view)


def retry(
    ids: Annotated[
        list[UUID] | None, typer.Argument(metavar="[ID]...", help="Only these notifications.")
    ] = None,
    max_age: Annotated[
        str | None,
        typer.Option("--max-age", metavar="AGE", help="Entered the outbox within this time; 24h."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", "-n", min=1, max=outbox.MOST, help="Maximum number to retry; 50."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Of any age.")] = False,
    status: by_job.Statuses = None,
    user: by_job.User = None,
    every: by_job.Every = False,
    tenant: Tenant = None,
    note: Note = "",
    starts_in: StartsIn = "0s",  # type: ignore[assignment]  # the parser reads the default too
    dry_run: DryRun = False,
    yes: by_job.Yes = False,
    as_json: AsJson = False,
) -> None:
    """Publish at once what was marked as failed, or what RabbitMQ refused.

    The scheduler publishes them, the oldest first. With --status, --user or --all it is a job (`tidings jobs`) of those
    that wait now. Exit code 1 if some could not be retried.

    Examples:
      [bold]tidings outbox retry --max-age 2h --limit 500[/]
      [bold]tidings outbox retry --status failed --note "RabbitMQ is back"[/]
    """
    if status or user is not None or every:
        if ids or max_age is not None or limit is not None or force:
            raise Unclear("--status, --user and --all choose for a job: leave out ids and the rest")
        choice = by_job.EntryChoice(tuple(status or ()), user, tenant, every)
        by_job.decide(
            JobKind.RETRY, choice, note, starts_in, dry_run=dry_run, yes=yes, as_json=as_json
        )
        return
    if ids:
        if max_age is not None or limit is not None or force:
            raise Unclear(
                "--max-age, --limit and --force choose among all: leave them out with ids, which are retried whatever "
                "their age"
            )
        _decide(
            outbox.retry_some,
            DecideRequest(ids, tenant, note, dry_run),
            "will be published at once",
            as_json,
        )
        return
    since = parsed(moment, max_age or "24h", "--max-age")
    age = (datetime.now(UTC) - since).total_seconds()
    request = outbox.RetryRequest(tenant, age, limit or 50, force, note, dry_run)
    _show(
        ask(lambda backend: outbox.retry(backend, actor(), request)),
        "will be published at once",
        as_json,
    )


def mark_failed(
    ids: Ids = None,
    status: by_job.Statuses = None,
    user: by_job.User = None,
    every: by_job.Every = False,
    tenant: Tenant = None,
    note: Note = "",
    starts_in: StartsIn = "0s",  # type: ignore[assignment]  # the parser reads the default too
    dry_run: DryRun = False,
    yes: by_job.Yes = False,
    as_json: AsJson = False,
) -> None:
    """Give up entries of the outbox: they are not published until somebody retries them.

    Those that are named are marked at once. With --status, --user or --all it is a job (`tidings jobs`) of those that wait
    now. Exit code 1 if some could not be marked.

    Examples:
      [bold]tidings outbox mark-failed 0192f0c1-7b1a-7c3e-9d55-3f6f1a2b4c5d[/]
      [bold]tidings outbox mark-failed --user user-4711 --note "obsolete"[/]
    """
    choice = by_job.EntryChoice(tuple(status or ()), user, tenant, every)
    if not _named(ids, choice):
        by_job.decide(
            JobKind.MARK_FAILED, choice, note, starts_in, dry_run=dry_run, yes=yes, as_json=as_json
        )
        return
    request = DecideRequest(ids or [], tenant, note, dry_run)
    _decide(outbox.mark_failed, request, "marked as failed", as_json)


def mark_pending(
    ids: Ids = None,
    status: by_job.Statuses = None,
    user: by_job.User = None,
    every: by_job.Every = False,
    tenant: Tenant = None,
    note: Note = "",
    starts_in: StartsIn = "0s",  # type: ignore[assignment]  # the parser reads the default too
    dry_run: DryRun = False,
    yes: by_job.Yes = False,
    as_json: AsJson = False,
) -> None:
    """Have entries of the outbox published as if nobody had tried.

    Those that are named are marked at once. With --status, --user or --all it is a job (`tidings jobs`) of those that wait
    now. Exit code 1 if some could not be marked.

    Examples:
      [bold]tidings outbox mark-pending 0192f0c1-7b1a-7c3e-9d55-3f6f1a2b4c5d[/]
      [bold]tidings outbox mark-pending --status failed --note "taken up again"[/]
    """
    choice = by_job.EntryChoice(tuple(status or ()), user, tenant, every)
    if not _named(ids, choice):
        by_job.decide(
            JobKind.MARK_PENDING, choice, note, starts_in, dry_run=dry_run, yes=yes, as_json=as_json
        )
        return
    request = DecideRequest(ids or [], tenant, note, dry_run)
    _decide(outbox.mark_pending, request, "marked as pending", as_json)


def _named(ids: Sequence[UUID] | None, choice: by_job.EntryChoice) -> bool:
    """Whether entries are named, and not chosen by filters."""
    if ids and choice.selects:
        raise Unclear("give ids, or --status, --user and --all, not both")
    if not (ids or choice.selects):
        raise Unclear("give ids, or --status, --user or --all")
    return bool(ids)


def _decide(decision: Decision, request: DecideRequest, done: str, as_json: bool) -> None:
    _show(ask(lambda backend: decision(backend, actor(), request)), done, as_json)


def _show(view: DecidedView, done: str, as_json: bool) -> None:
    if as_json:
        print_json(view)
    else:
        _print_decided(view, done)
        for entry in view.failed:
            err.print(f"{entry.id}: {entry.reason}")
    if view.failed:
        raise typer.Exit(FAULT)


def _print_decided(view: DecidedView, done: str) -> None:
    many = len(view.decided)
    if not view.dry_run:
        out.print(f"{many:,} {done}.")
        return
    if many:
        out.print(table(view.decided[:SHOWN]))
    if many > SHOWN:
        out.print(f"… and {many - SHOWN:,} more")
    out.print(f"{many:,} would be {done.removeprefix('will be ')}.")
