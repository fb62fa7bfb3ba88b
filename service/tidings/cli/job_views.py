"""Tables and details of jobs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial

from rich.console import Group
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from tidings.cli.console import err, interruptible
from tidings.cli.options import actor, ask
from tidings.cli.rows import Row, Rows, cell
from tidings.delivery.jobs import JobState
from tidings.operations.backend import Backend
from tidings.operations.jobs import control
from tidings.operations.jobs.views import JobItemView, JobView
from tidings.operations.jobs.watching import watch
from tidings.operations.times import ago, exact

STYLES = {
    JobState.RUNNING: "green",
    JobState.PAUSED: "yellow",
    JobState.STOPPED: "red",
}


def job_table(jobs: Sequence[JobView], now: datetime) -> Rows:
    """Jobs, one a row."""
    names = ("ID", "Kind", "State", "Done", "Items", "Delivered", "Failed", "Started", "Actor")
    right = ("Done", "Items", "Delivered", "Failed")
    return Rows(names, [_job_row(job, now) for job in jobs], right=right)


def _job_row(job: JobView, now: datetime) -> Row:
    cells = (
        cell(str(job.id)),
        cell(job.kind.value),
        cell(job.state.value, STYLES.get(job.state, "")),
        cell(f"{job.done:,}"),
        cell(f"{job.items:,}"),
        cell(f"{job.outcomes.delivered:,}"),
        cell(f"{job.outcomes.trouble:,}"),
        cell(ago(job.started_at, now) if job.started_at else "–"),
        cell(job.actor),
    )
    return Row(cells, job.reason or "")


def job_details(job: JobView, now: datetime) -> Group:
    """One job in full."""
    lines = [
        ("Job", str(job.id)),
        ("Kind", job.kind.value),
        ("State", job.state.value + (f": {job.reason}" if job.reason else "")),
        ("By", job.actor),
        ("Selected", f"{exact(job.seen_at)}: {_selection(job)}"),
        ("Changes", _changes(job)),
        ("Items", _items(job)),
        *((f"  {result}", f"{count:,}") for result, count in sorted(job.results.items())),
        *_outcomes(job),
        ("Plan", _plan(job)),
        ("Note", job.note or ""),
        ("Started", exact(job.started_at) if job.started_at else ""),
        ("Begins", exact(job.starts_at) if job.starts_at and job.starts_at > now else ""),
        ("Changed", f"{ago(job.changed_at, now)}, by {job.changed_by}"),
        ("Ended", exact(job.ended_at) if job.ended_at else ""),
        ("Runs in", job.running_in or ("no process yet" if job.state is JobState.RUNNING else "")),
    ]
    width = max(len(name) for name, _ in lines)
    return Group(
        *(
            Text.assemble((f"{name.ljust(width)}  ", "dim"), cell(value))
            for name, value in lines
            if value
        )
    )


def _items(job: JobView) -> str:
    if job.state is JobState.CHOOSING:
        return "being chosen"
    return f"{job.items:,}, {job.done:,} done"


def _selection(job: JobView) -> str:
    words = (f"{name} {value}" for name, value in job.selection.items() if value)
    return ", ".join(words) or "everything"


def _changes(job: JobView) -> str:
    """What an edit changes, people masked and content left out."""
    if job.edit is None:
        return ""
    parts = [f"{name} becomes {value}" for name, value in job.edit["set"].items()]
    parts += [f"{name} is taken out" for name in job.edit["unset"]]
    return ", ".join([*parts, *(["then replayed"] if job.then_replay else [])])


def _outcomes(job: JobView) -> Iterator[tuple[str, str]]:
    now = job.outcomes
    counts = {
        "delivered": now.delivered,
        "failed again": now.failed,
        "failed again, retrying": now.retrying,
        "in progress": now.waiting,
    }
    yield from ((f"  {name}", f"{count:,}") for name, count in counts.items() if count)
    if job.waves:
        yield (
            "Waves",
            ", ".join(f"{wave.delivered:,} of {wave.total:,} delivered" for wave in job.waves),
        )


def _plan(job: JobView) -> str:
    parts = (
        f"{job.rate:g}/s" if job.rate else "",
        f"canary {','.join(map(str, job.canary))}" if job.canary else "",
        f"stops at {job.stop_at:.0%}" if job.stop_at is not None else "",
        "by force" if job.force else "",
    )
    return ", ".join(part for part in parts if part)


def item_table(items: Sequence[JobItemView]) -> Rows:
    """Items of a job, one a row."""
    return Rows(
        ("Position", "Item", "Result", "Outcome"),
        [
            Row(
                [
                    cell(str(item.position)),
                    cell(str(item.item_id)),
                    cell(item.result or "–"),
                    cell(item.outcome or "–"),
                ],
                _detail(item),
            )
            for item in items
        ],
        right=("Position",),
        reason="Detail",
    )


def run_watched(job: JobView, starts_in: float) -> JobView:
    """Start a job that was looked at, and watch it to its end or Ctrl-C; the job as it stands then.

    Args:
        job: The preview.
        starts_in: Seconds in which nothing is done yet.
    """

    async def run(backend: Backend) -> JobView:
        await control.start(backend, actor(), job.id, starts_in=starts_in)
        return await watch(backend, actor(), job.id, partial(watching, job.items))

    return ask(run)


def _detail(item: JobItemView) -> str:
    replaced = f"replaced by {item.superseded_by_id}" if item.superseded_by_id else ""
    return "; ".join(filter(None, (item.detail, replaced)))


@contextmanager
def watching(items: int, interrupt: Callable[[], None]) -> Iterator[Callable[[JobView], None]]:
    """A progress bar on a terminal, and Ctrl-C as an interruption."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=err, disable=not err.is_terminal, transient=True)
    with bar, interruptible(interrupt):
        task = bar.add_task("running", total=items)
        yield lambda job: bar.update(task, completed=job.done, description=job.state.value)


def print_why_not_finished(job: JobView) -> None:
    """Print what a job does that has not finished, and how to go on."""
    match job.state:
        case JobState.RUNNING:
            err.print(f"The job goes on: `tidings jobs watch {job.id}`")
        case JobState.PAUSED:
            err.print(f"The job is paused: `tidings jobs resume {job.id}`")
        case JobState.STOPPED | JobState.CANCELLED:
            err.print(f"The job is {job.state}: {job.reason or job.changed_by}")
        case _:
            pass
