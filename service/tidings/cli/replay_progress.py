"""The progress bar of a replay."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tidings.cli.console import err
from tidings.operations.dead_letters.replays import Progress as ReportProgress
from tidings.operations.dead_letters.replays import ReplaySummary


@contextmanager
def watching(dead_letters: int, waves: int) -> Iterator[ReportProgress]:
    """Show the progress of a replay on a terminal.

    Args:
        waves: Number of canary waves.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(
            "[green]{task.fields[delivered]}[/] delivered, [red]{task.fields[failed]}[/] failed again"
        ),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as bar:
        task = bar.add_task("replaying", total=dead_letters, delivered=0, failed=0)

        def show(summary: ReplaySummary) -> None:
            done = sum(summary.results.values())
            now = summary.outcomes
            description = "watching" if done >= dead_letters or summary.stopped else "replaying"
            if len(summary.waves) < waves and not summary.stopped:
                description = f"wave {len(summary.waves) + 1} of {waves}"
            bar.update(
                task,
                completed=done,
                description=description,
                delivered=now.delivered,
                failed=now.trouble,
            )

        yield show
