"""`tidings outbox retry | mark-pending | mark-failed` with filters: the entries that wait now become a job."""

import sys
from dataclasses import dataclass
from typing import Annotated, Final

import typer

from tidings.cli.console import FAULT, STOPPED, Unclear, err, out, print_json
from tidings.cli.job_views import run_watched
from tidings.cli.options import actor, ask
from tidings.cli.outbox_tables import table
from tidings.delivery.jobs import JobKind, JobState
from tidings.operations.dead_letters.query import DeadLetterQuery
from tidings.operations.jobs import control
from tidings.operations.jobs.deciding import OutboxFilter
from tidings.operations.jobs.previews import JobPreview, PreviewRequest, preview
from tidings.operations.jobs.views import JobView
from tidings.operations.notifications import Filters
from tidings.operations.outbox import EntryStatus
from tidings.operations.times import counted

Statuses = Annotated[
    list[EntryStatus] | None,
    typer.Option(
        "--status", "-s", help="All that have this status now; repeatable.", show_default=False
    ),
]
User = Annotated[str | None, typer.Option(help="All that wait for this `user_id`.")]
Every = Annotated[bool, typer.Option("--all", help="All that wait.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask before a job is started.")]

WELL: Final = frozenset({"retried", "marked_pending", "marked_failed"})
DONE: Final = {
    JobKind.RETRY: "published at once",
    JobKind.MARK_PENDING: "marked as pending",
    JobKind.MARK_FAILED: "marked as failed",
}


@dataclass(frozen=True, slots=True)
class EntryChoice:
    """Which entries a job is about."""

    statuses: tuple[EntryStatus, ...]
    user: str | None
    tenant: str | None
    every: bool

    @property
    def selects(self) -> bool:
        """Whether any are chosen."""
        return bool(self.statuses or self.every or self.user is not None)


def decide(
    kind: JobKind,
    choice: EntryChoice,
    note: str,
    starts_in: float,
    *,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Decide about the entries that match and wait, after they were looked at.

    Args:
        kind: What is decided.
        choice: About which.
        note: Why.
        starts_in: Seconds in which nothing is done yet.
        dry_run: Only look.
        yes: Don't ask.
        as_json: Print the job as JSON.

    Raises:
        typer.Exit: Not all could be done, or the watch was ended.
        Unclear: There is nobody to ask.
    """
    if not (dry_run or note.strip()):
        raise Unclear("Missing option '--note'.")
    if not (dry_run or yes or sys.stdin.isatty()):
        raise Unclear(
            "standard input is no terminal to confirm on: give --yes, or check first with --dry-run"
        )
    wanted = OutboxFilter((), choice.statuses, choice.user, choice.tenant)
    request = PreviewRequest(
        kind, DeadLetterQuery(), Filters(), every=choice.every, note=note or "-", outbox=wanted
    )
    chosen = ask(lambda backend: preview(backend, actor(), request))
    job = chosen.job
    if dry_run or not job.items:
        ask(lambda backend: control.forget(backend, actor(), job.id))
        _print_look(chosen, as_json=as_json)
        return
    if not yes:
        _confirm(chosen)
    done = run_watched(job, starts_in)
    if as_json:
        print_json(done.as_data())
    else:
        _print_result(done)
    if done.state in {JobState.RUNNING, JobState.PAUSED}:
        raise typer.Exit(STOPPED)
    if sum(done.results.get(result, 0) for result in WELL) < done.items:
        raise typer.Exit(FAULT)


def _print_look(chosen: JobPreview, *, as_json: bool) -> None:
    if as_json:
        print_json(chosen.as_data())
        return
    if chosen.entries:
        out.print(table([view.entry for view in chosen.entries]))
    many = counted(chosen.job.items, "entry")
    out.print(f"{many} would be {DONE[chosen.job.kind]}.")


def _confirm(chosen: JobPreview) -> None:
    job = chosen.job
    err.print(table([view.entry for view in chosen.entries]))
    try:
        question = f"{counted(job.items, 'entry')} will be {DONE[job.kind]}. Go on?"
        typer.confirm(question, abort=True, err=True)
    except typer.Abort:
        ask(lambda backend: control.forget(backend, actor(), job.id))
        raise


def _print_result(job: JobView) -> None:
    done = sum(job.results.get(result, 0) for result in WELL)
    out.print(f"{done:,} of {counted(job.items, 'entry')} {DONE[job.kind]}.")
    for result, count in sorted(job.results.items()):
        if result not in WELL:
            err.print(f"  {count:,} {result}: `tidings jobs items {job.id} --result {result}`")
    if job.state is not JobState.FINISHED:
        err.print(f"The job is {job.state}: `tidings jobs watch {job.id}`")
