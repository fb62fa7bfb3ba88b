"""`tidings jobs`: lists, shows, starts, watches, pauses, resumes and cancels jobs."""

import sys
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import typer

from tidings.cli import replay_options as how
from tidings.cli.commands import Commands
from tidings.cli.console import STOPPED, Unclear, err, out, print_json
from tidings.cli.dead_letter_views import dead_letters_table
from tidings.cli.edit_report import show_sample_edits, show_trial
from tidings.cli.hints import print_next_page
from tidings.cli.job_views import item_table, job_details, job_table, watching
from tidings.cli.options import AsJson, Cursor, StartsIn, Tenant, actor, ask, id_prefix
from tidings.cli.outbox_tables import table
from tidings.cli.replay import end as end_replay
from tidings.cli.replay import watched
from tidings.delivery.id_prefix import SHORTEST, IdPrefix
from tidings.delivery.jobs import JobKind, JobState
from tidings.operations.backend import Backend
from tidings.operations.dead_letters.replays import watch_replay
from tidings.operations.jobs import control, previews
from tidings.operations.jobs.control import JobItemsRequest, JobListRequest
from tidings.operations.jobs.results import results
from tidings.operations.jobs.views import JobView
from tidings.operations.jobs.watching import watch as watch_job

app = Commands(
    help="List, show, start, watch, pause, resume and cancel jobs: replays, edits and discards of many dead letters.",
    no_args_is_help=True,
)

JobId = Annotated[
    IdPrefix,
    typer.Argument(
        parser=id_prefix,
        metavar="ID",
        help=f"Id of a job: in full, or the first {SHORTEST} or more hex digits, or the last 12.",
    ),
]
Note = Annotated[str, typer.Option("--note", help="Note for its record.")]
Detach = Annotated[
    bool, typer.Option("--detach", "-d", help="Don't watch it: a running scheduler runs it.")
]


@app.command("list")
def list_(
    state: Annotated[
        list[JobState] | None,
        typer.Option("--state", "-s", help="Only in this state; repeatable."),
    ] = None,
    tenant: Tenant = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=1_000, help="Maximum number to list.")
    ] = 25,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first. They are kept for 30 days after their end.

    Example: [bold]tidings jobs list --state running[/]
    """
    request = JobListRequest(limit, tuple(state or ()), tenant, cursor)
    page = ask(lambda backend: control.list_(backend, request))
    if as_json:
        print_json(page)
    elif not page.data:
        err.print("No jobs." if cursor is None else "No more jobs.")
    else:
        out.print(job_table(page.data, datetime.now(UTC)))
        print_next_page(page)


@app.command()
def show(id: JobId, as_json: AsJson = False) -> None:
    """Show one job: what it is about, how far it is, and the results so far.

    Example: [bold]tidings jobs show 1f0c52a6[/]
    """
    view = ask(lambda backend: control.show(backend, id))
    if as_json:
        print_json(view.as_data())
    else:
        out.print(job_details(view, datetime.now(UTC)))


@app.command()
def preview(id: JobId, as_json: AsJson = False) -> None:
    """Show one job with the first of its dead letters or outbox entries, as they stand now, and what an edit changes in them.

    Example: [bold]tidings jobs preview 1f0c52a6[/]
    """
    view = ask(lambda backend: previews.show(backend, actor(), id))
    if as_json:
        print_json(view.as_data())
        return
    out.print(job_details(view.job, datetime.now(UTC)))
    if view.sample:
        out.print(dead_letters_table(view.sample, datetime.now(UTC)))
    if view.entries:
        out.print(table([shown.entry for shown in view.entries]))
    show_sample_edits(view.edits)
    show_trial(view.trial, view.job.items)


@app.command()
def items(
    id: JobId,
    result: Annotated[
        list[str] | None,
        typer.Option(
            "--result", help="Only with this result, e.g. replayed or malformed; repeatable."
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=10_000, help="Maximum number to list.")
    ] = 100,
    cursor: Cursor = None,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print all of them as CSV, without other options.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the items of a job in its order, each with its result.

    Examples:
      [bold]tidings jobs items 1f0c52a6 --result malformed[/]
      [bold]tidings jobs items 1f0c52a6 --csv > results.csv[/]
    """
    if as_csv:
        if result or cursor or as_json:
            raise Unclear("--csv prints all items: leave out --result, --cursor and --json")
        ask(lambda backend: _print_csv(backend, id))
        return
    request = JobItemsRequest(id, limit, tuple(result or ()), cursor=cursor)
    page = ask(lambda backend: control.items(backend, request))
    if as_json:
        print_json(page)
    elif not page.data:
        err.print("No items.")
    else:
        out.print(item_table(page.data))
        print_next_page(page)


async def _print_csv(backend: Backend, id: IdPrefix) -> None:
    async for part in await results(backend, id):
        sys.stdout.buffer.write(part)
    sys.stdout.flush()


@app.command()
def watch(id: JobId, as_json: AsJson = False) -> None:
    """Watch a job until it ends, and print its result.

    If no scheduler is running, this command runs the job, and Ctrl-C pauses it. Otherwise Ctrl-C only ends the watch.
    Exit code 1 if it stopped, or if items failed.

    Example: [bold]tidings jobs watch 1f0c52a6[/]
    """
    _watch(id, as_json=as_json)


@app.command()
def start(
    id: JobId,
    rate: how.PerSecond = None,
    canary: how.Canary = None,
    stop_at: how.StopAt = None,
    starts_in: StartsIn = "0s",  # type: ignore[assignment]  # the parser reads the default too
    detach: Detach = False,
    as_json: AsJson = False,
) -> None:
    """Start a job that was previewed by the console or the API, and watch it as `tidings jobs watch` does.

    With --rate, --canary or --stop-at it goes as they say, and no longer as it was previewed.

    Example: [bold]tidings jobs start 1f0c52a6 --canary 1,10 --starts-in 10s --detach[/]
    """
    given = rate or canary or stop_at is not None
    plan = how.plan_of(canary, rate, stop_at, how.WATCH, force=False) if given else None

    async def start_(backend: Backend) -> JobView:
        found = await control.show(backend, id)
        return await control.start(backend, actor(), found.id, plan=plan, starts_in=starts_in)

    view = ask(start_)
    if not detach:
        _watch(IdPrefix.parse(str(view.id)), as_json=as_json)
    elif as_json:
        print_json(view.as_data())
    else:
        out.print(f"Started. Watch it: `tidings jobs watch {view.id}`")


@app.command()
def pause(id: JobId, note: Note = "", as_json: AsJson = False) -> None:
    """Pause a running job; what is in progress is finished within seconds.

    Example: [bold]tidings jobs pause 1f0c52a6[/]
    """
    view = ask(lambda backend: control.pause(backend, actor(), id, note=note))
    if as_json:
        print_json(view.as_data())
    else:
        out.print(f"Paused. Continue: `tidings jobs resume {view.id}`")


@app.command()
def resume(
    id: JobId,
    detach: Detach = False,
    as_json: AsJson = False,
) -> None:
    """Resume a job that is paused or stopped, and watch it as `tidings jobs watch` does.

    The share of failures counts anew, from the next item on.

    Example: [bold]tidings jobs resume 1f0c52a6[/]
    """
    view = ask(lambda backend: control.resume(backend, actor(), id))
    if not detach:
        _watch(IdPrefix.parse(str(view.id)), as_json=as_json)
    elif as_json:
        print_json(view.as_data())
    else:
        out.print(f"Resumed. Watch it: `tidings jobs watch {view.id}`")


@app.command()
def cancel(id: JobId, note: Note = "", as_json: AsJson = False) -> None:
    """Cancel a job permanently; items that it has not reached stay as they are.

    Example: [bold]tidings jobs cancel 1f0c52a6 --note "wrong group"[/]
    """
    view = ask(lambda backend: control.cancel(backend, actor(), id, note=note))
    if as_json:
        print_json(view.as_data())
    else:
        why = f" ({view.reason})" if view.reason else ""
        out.print(f"Cancelled after {view.done:,} of {view.items:,} items{why}.")


def _watch(id: IdPrefix, *, as_json: bool) -> None:
    view = ask(lambda backend: control.show(backend, id))
    if view.kind is JobKind.REPLAY:
        bar = watched(view.items, len(view.canary))
        end_replay(
            ask(lambda backend: watch_replay(backend, actor(), view.id, bar)), as_json=as_json
        )
        return
    see = partial(watching, view.items)
    done = ask(lambda backend: watch_job(backend, actor(), view.id, see))
    if as_json:
        print_json(done.as_data())
    else:
        out.print(job_details(done, datetime.now(UTC)))
    if done.state is JobState.RUNNING:
        raise typer.Exit(STOPPED)
