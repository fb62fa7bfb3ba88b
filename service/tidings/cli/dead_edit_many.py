"""`tidings dead edit` with filters: the dead letters that are open now become a job, which is confirmed, started and watched."""

import sys
from collections.abc import Mapping
from typing import Final

import typer

from tidings.cli.console import FAULT, STOPPED, Unclear, err, out, print_json
from tidings.cli.edit_report import show_sample_edits, show_trial
from tidings.cli.hints import print_suggestions
from tidings.cli.job_views import print_why_not_finished, run_watched
from tidings.cli.options import actor, ask
from tidings.cli.replay_report import warn_of_doubt
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.jobs import JobKind, JobState, Plan
from tidings.operations.dead_letters.query import DeadLetterQuery
from tidings.operations.jobs import control
from tidings.operations.jobs.control import JobEdit
from tidings.operations.jobs.previews import JobPreview, PreviewRequest, preview, show
from tidings.operations.jobs.views import JobView
from tidings.operations.notifications import Filters
from tidings.operations.times import counted

SHOWN: Final = 3
"""Of the sample, so many differences."""
WELL: Final = frozenset({"edited", "unchanged", "replayed", "scheduled"})
"""Results that need nobody's attention."""


def edit_by_job(
    query: DeadLetterQuery,
    edit: JobEdit,
    note: str,
    plan: Plan,
    starts_in: float,
    *,
    yes: bool,
    as_json: bool,
    reveal: bool,
) -> None:
    """Edit the open dead letters that match, after they were looked at.

    Args:
        query: Which.
        edit: What is changed, and whether they are replayed.
        note: Why.
        plan: How fast they are replayed, and when that stops.
        starts_in: Seconds in which nothing is done yet.
        yes: Don't ask.
        as_json: Print the job as JSON.
        reveal: Show what is changed with people and content.

    Raises:
        typer.Exit: Not all went well, or the watch was ended.
        Unclear: There is nobody to ask.
    """
    if not (yes or sys.stdin.isatty()):
        raise Unclear(
            "standard input is no terminal to confirm on: give --yes, or check first with --dry-run"
        )
    request = PreviewRequest(JobKind.EDIT, query, Filters(), note=note, plan=plan, edit=edit)
    chosen = ask(lambda backend: preview(backend, actor(), request))
    job = chosen.job
    if not job.items:
        ask(lambda backend: control.forget(backend, actor(), job.id))
        print_suggestions(query.narrowed)
    elif not yes:
        _confirm(chosen, reveal=reveal)
    warn_of_doubt(job.perhaps_delivered_before)
    done = run_watched(job, starts_in) if job.items else job
    if as_json:
        print_json(done.as_data())
    else:
        _print_result(done)
    if done.state in {JobState.RUNNING, JobState.PAUSED}:
        raise typer.Exit(STOPPED)
    if _trouble(done.results) or done.items > done.done or done.outcomes.trouble:
        raise typer.Exit(FAULT)


def _confirm(chosen: JobPreview, *, reveal: bool) -> None:
    job = chosen.job
    if reveal:
        id = IdPrefix.parse(str(job.id))
        chosen = ask(lambda backend: show(backend, actor(), id, reveal=True))
    show_sample_edits(chosen.edits, SHOWN, err)
    show_trial(chosen.trial, job.items, err)
    verb = "Edit and replay" if job.then_replay else "Edit"
    try:
        typer.confirm(f"{verb} {counted(job.items, 'dead letter')}?", abort=True, err=True)
    except typer.Abort:
        ask(lambda backend: control.forget(backend, actor(), job.id))
        raise


def _trouble(results: Mapping[str, int]) -> Mapping[str, int]:
    return {result: count for result, count in results.items() if result not in WELL}


def _print_result(job: JobView) -> None:
    if not job.items:
        out.print("Nothing to edit.")
        return
    lines = {
        "edited": job.results.get("edited", 0),
        "already so": job.results.get("unchanged", 0),
        "replayed": job.results.get("replayed", 0) + job.results.get("scheduled", 0),
        "delivered": job.outcomes.delivered,
        "failed again": job.outcomes.trouble,
        "not edited": job.items - job.done,
    }
    for label, count in lines.items():
        if count:
            out.print(f"{count:>8,}  {label}")
    for result, count in sorted(_trouble(job.results).items()):
        out.print(f"[red]{count:>8,}[/]  can't be edited: {result.replace('_', ' ')}")
    err.print(f"[dim]Each of them: `tidings jobs items {job.id}`[/]")
    if job.results.get("edited") and not job.then_replay:
        err.print("[dim]Replay them: the same command with `--replay`[/]")
    print_why_not_finished(job)
