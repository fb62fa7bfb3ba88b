"""`tidings dead discard`: closes dead letters permanently, those that a filter finds by a job."""

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Final
from uuid import UUID

import typer

from tidings.cli import dead_letter_options as which
from tidings.cli.console import FAULT, STOPPED, Unclear, err, out, print_json
from tidings.cli.dead_letter_views import dead_letters_table
from tidings.cli.hints import print_suggestions
from tidings.cli.job_views import print_why_not_finished, run_watched
from tidings.cli.options import AsJson, StartsIn, actor, ask
from tidings.delivery.dead_letter import DeadLetterState
from tidings.delivery.jobs import JobKind, JobState
from tidings.operations.backend import Backend
from tidings.operations.dead_letters import discards
from tidings.operations.dead_letters.discards import DiscardDryRun, Discarded, DiscardRequest
from tidings.operations.dead_letters.query import DeadLetterQuery
from tidings.operations.jobs import control
from tidings.operations.jobs.previews import JobPreview, PreviewRequest, preview
from tidings.operations.jobs.views import JobView
from tidings.operations.notifications import Filters
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
    starts_in: StartsIn = "0s",  # type: ignore[assignment]  # the parser reads the default too
    yes: which.Yes = False,
    as_json: AsJson = False,
) -> None:
    """Discard dead letters permanently.

    They stay readable and can't be replayed. Those that are named by their ids are discarded at once. With filters it is a
    job (`tidings jobs`) of the dead letters that are open now; later ones are not included. A scheduler runs it, and this
    command watches: Ctrl-C ends the watch, and the job goes on. If no scheduler is running, this command runs the job
    itself, and Ctrl-C pauses it.

    Exit code 1 if one of them was not open.

    Examples:
      [bold]tidings dead discard --fingerprint 6b1f03 --dry-run[/]
      [bold]tidings dead discard --fingerprint 6b1f03 --note "test data"[/]
    """
    if note is None and not dry_run:
        raise Unclear("Missing option '--note'.")
    if note is not None and not note.strip():
        raise typer.BadParameter("it is empty: give a reason in a few words", param_hint="--note")
    if note is None or dry_run:
        found = ask(lambda backend: discards.preview_discard(backend, query))
        if not found.chosen:
            print_suggestions(query.narrowed)
        _print_dry_run(found, as_json=as_json)
    elif query.ids:
        if starts_in:
            raise Unclear("--starts-in is for filters: those that are named are discarded at once")
        _discard_named(query, note, as_json=as_json)
    else:
        _discard_by_job(query, note, starts_in, yes=yes, as_json=as_json)


def _discard_named(query: DeadLetterQuery, note: str, *, as_json: bool) -> None:
    async def discard_(backend: Backend) -> Discarded:
        request = DiscardRequest(await discards.named(backend, query), note)
        return await discards.discard(backend, actor(), request)

    done = ask(discard_)
    if as_json:
        print_json(done.as_data())
    else:
        chosen = len(done.closed) + len(done.left)
        out.print(f"Discarded {len(done.closed):,} of {counted(chosen, 'dead letter')}.")
        _print_reasons(sorted(done.left), done.states)
    if done.left:
        raise typer.Exit(FAULT)


def _discard_by_job(
    query: DeadLetterQuery, note: str, starts_in: float, *, yes: bool, as_json: bool
) -> None:
    if not query.selects:
        raise Unclear("give ids or filters")
    if not (yes or sys.stdin.isatty()):
        raise Unclear(
            "standard input is no terminal to confirm on: give --yes, or check first with --dry-run"
        )
    request = PreviewRequest(JobKind.DISCARD, query, Filters(), note=note)
    chosen = ask(lambda backend: preview(backend, actor(), request))
    job = chosen.job
    if not job.items:
        ask(lambda backend: control.forget(backend, actor(), job.id))
        print_suggestions(query.narrowed)
    elif not yes:
        _confirm(chosen)
    done = run_watched(job, starts_in) if job.items else job
    if as_json:
        print_json(done.as_data())
    else:
        _print_result(done)
    if done.state in {JobState.RUNNING, JobState.PAUSED}:
        raise typer.Exit(STOPPED)
    if done.items > done.results.get("discarded", 0):
        raise typer.Exit(FAULT)


def _confirm(chosen: JobPreview) -> None:
    err.print(dead_letters_table(chosen.sample, datetime.now(UTC)))
    try:
        many = counted(chosen.job.items, "dead letter")
        typer.confirm(f"Discard {many} permanently?", abort=True, err=True)
    except typer.Abort:
        ask(lambda backend: control.forget(backend, actor(), chosen.job.id))
        raise


def _print_result(job: JobView) -> None:
    if not job.items:
        out.print("Nothing to discard.")
        return
    done = job.results.get("discarded", 0)
    out.print(f"Discarded {done:,} of {counted(job.items, 'dead letter')}.")
    for result, count in sorted(job.results.items()):
        if result != "discarded":
            err.print(f"  {count:,} {result}: `tidings jobs items {job.id} --result {result}`")
    print_why_not_finished(job)


def _print_dry_run(found: DiscardDryRun, *, as_json: bool) -> None:
    """Print what would be discarded."""
    if as_json:
        print_json(found.as_data())
    else:
        if found.ready:
            out.print(dead_letters_table(found.sample, datetime.now(UTC)))
        many = counted(found.ready, "dead letter")
        out.print(f"{many} would be discarded." if found.ready else "Nothing to discard.")
        _print_reasons(list(found.not_open), found.not_open)
    if found.not_open:
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
