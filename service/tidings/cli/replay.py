"""`tidings replay`: publishes dead letters again."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import typer

from tidings.cli import dead_letter_options as which
from tidings.cli import replay_options as how
from tidings.cli.console import FAULT, STOPPED, Unclear, err, interruptible
from tidings.cli.dead_letter_views import dead_letters_table
from tidings.cli.hints import print_suggestions
from tidings.cli.options import AsJson, StartsIn, actor, ask
from tidings.cli.replay_progress import watching
from tidings.cli.replay_report import show_dry_run, show_summary, warn_of_doubt
from tidings.operations.dead_letters import replays
from tidings.operations.dead_letters.pacing import INTERRUPTED
from tidings.operations.dead_letters.plan import Plan
from tidings.operations.dead_letters.query import DeadLetterQuery
from tidings.operations.dead_letters.replays import (
    Progress,
    ReplayChoice,
    ReplayDryRun,
    ReplayRequest,
    ReplayView,
    Watch,
)
from tidings.operations.jobs import control
from tidings.operations.times import counted
from tidings.runtime.garbage import collect_seldom


@which.about_dead_letters(ids=True)
def replay(
    query: DeadLetterQuery,
    every: how.Every = False,
    limit: how.Limit = None,
    dry_run: how.DryRun = False,
    full_scan: how.FullScan = False,
    rate: how.PerSecond = None,
    canary: how.Canary = None,
    stop_at: how.StopAt = None,
    watch: how.Watch = "60s",  # type: ignore[assignment]  # the parser reads the default too
    force: how.Force = False,
    starts_in: StartsIn = "0s",  # type: ignore[assignment]  # the parser reads the default too
    yes: which.Yes = False,
    as_json: AsJson = False,
) -> None:
    """Replay dead letters: by id, by filters, or --all.

    Each notification starts a new epoch with all its attempts. Dead letters that may have been delivered
    (outcome_unknown) or would expire again are skipped unless selected by id or --reason.

    It is a job (`tidings jobs`) of the dead letters that are there now; later ones are not included. A scheduler runs it,
    and this command watches: Ctrl-C ends the watch, and the job goes on. If no scheduler is running, this command runs
    the job itself, and Ctrl-C pauses it.

    Safe to kill: the job continues where it was. Safe to run twice at once: no dead letter is replayed twice.

    Exit code 1 if a dead letter failed again or could not be replayed, or if the replay stopped early.

    Examples:
      [bold]tidings replay 1f0c52a6[/]
      [bold]tidings replay --fingerprint 6b1f03 --canary 1,10,100 --stop-at 20%[/]
      [bold]tidings replay --channel email --reason exhausted --since 24h --rate 50/s[/]
      [bold]tidings replay --all --dry-run[/]
    """
    if not (query.selects or every):
        raise Unclear("give ids, filters, or --all for every open dead letter")
    request = ReplayRequest(query, every, limit, force)
    plan = how.plan_of(canary, rate, stop_at, watch, force=force)
    if dry_run:
        found = ask(lambda backend: replays.preview_replay(backend, request, full_scan=full_scan))
        _show(found, query, as_json=as_json)
        return
    asks = not (yes or query.named)
    preview = asks and sys.stdin.isatty()
    choice = ask(lambda backend: replays.choose(backend, actor(), request, plan, preview=preview))
    if not choice.chosen:
        _show(ReplayDryRun.of_nothing(choice), query, as_json=as_json)
        return
    warn_of_doubt(choice.doubtful)
    if asks:
        _confirm(choice)
    collect_seldom()
    end(send_again(choice, plan, starts_in), as_json=as_json)


def _show(preview: ReplayDryRun, query: DeadLetterQuery, *, as_json: bool) -> None:
    """Print what would be replayed, with suggestions if nothing matches."""
    show_dry_run(preview, as_json=as_json)
    if not preview.chosen:
        print_suggestions(query.narrowed)


def _confirm(choice: ReplayChoice) -> None:
    if not sys.stdin.isatty():
        raise Unclear(
            "standard input is no terminal to confirm on: give --yes, or check first with --dry-run"
        )
    count = choice.chosen - choice.refused
    if not count:
        return  # the report explains why
    err.print(dead_letters_table(choice.sample, datetime.now(UTC)))
    if choice.refused:
        err.print(
            f"{counted(choice.refused, 'dead letter')} can't be replayed: `--dry-run` shows why."
        )
    try:
        typer.confirm(f"Replay {counted(count, 'dead letter')}?", abort=True, err=True)
    except typer.Abort:
        ask(lambda backend: control.forget(backend, actor(), choice.job))
        raise


def send_again(choice: ReplayChoice, plan: Plan, starts_in: float = 0.0) -> ReplayView:
    """Replay with a progress bar on a terminal. Ctrl-C ends the watch."""
    bar = watched(choice.chosen, len(plan.canary))
    return ask(
        lambda backend: replays.replay(backend, actor(), choice.job, bar, starts_in=starts_in)
    )


def watched(dead_letters: int, waves: int) -> Watch:
    """A progress bar on a terminal, and Ctrl-C as an interruption.

    Args:
        waves: Number of canary waves.
    """

    @contextmanager
    def watch(interrupt: Callable[[], None]) -> Iterator[Progress]:
        with watching(dead_letters, waves) as progress, interruptible(interrupt):
            yield progress

    return watch


def end(done: ReplayView, *, as_json: bool = False, edited: dict[str, Any] | None = None) -> None:
    """Print the result of a replay and exit with its code.

    Args:
        edited: The result of the edit before it, for JSON.
    """
    show_summary(done, as_json=as_json, edited=edited)
    if done.summary.stopped == INTERRUPTED:
        raise typer.Exit(STOPPED)
    if not done.summary.well:
        raise typer.Exit(FAULT)
