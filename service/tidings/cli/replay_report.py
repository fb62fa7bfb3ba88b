"""Prints the result of a replay or of its dry run."""

import shlex
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from tidings.cli.console import err, out, print_json
from tidings.cli.dead_letter_views import dead_letters_table
from tidings.cli.terminal import escape
from tidings.delivery.archiving import ReplayRefusal
from tidings.delivery.jobs import JobState
from tidings.operations.dead_letters.pacing import INTERRUPTED
from tidings.operations.dead_letters.replays import (
    TAKEN,
    NotReplayed,
    ReplayDryRun,
    ReplaySummary,
    ReplayView,
)
from tidings.operations.times import counted

SHOWN: Final = 20
WHY: Final = {
    ReplayRefusal.ALREADY_REPLAYED: "already replayed (--force replays them again)",
    ReplayRefusal.BEING_REPLAYED: "being replayed by another command",
    ReplayRefusal.SUPERSEDED: "superseded by an edit: replay the new dead letter",
    ReplayRefusal.DISCARDED: "discarded: publish a new notification instead",
    ReplayRefusal.MALFORMED: "malformed: edit each with `tidings dead edit ID --replay`",
    ReplayRefusal.UNDER_WAY: "their notification is in progress: wait until it has finished",
    ReplayRefusal.EXPIRED: "expired: set a new expiry with `tidings dead edit ID --set expires_at=…`",
    ReplayRefusal.TEMPLATE_GONE: "their template no longer exists: add it, or edit each with `tidings dead edit ID --set template=…`",
    ReplayRefusal.ENDED: "their notification has finished in another way: publish a new one",
    ReplayRefusal.SENT: "their notification was sent (--force sends it again)",
    ReplayRefusal.NEWER_EPOCH: "their notification was replayed since: replay its newer dead letter (--force replays these)",
    ReplayRefusal.SAME_NOTIFICATION: "another dead letter of the same notification is replayed instead",
    ReplayRefusal.OTHER_CONTENT: "a notification with the same id and other content exists: publish each with a new id (--force overwrites the other)",
    ReplayRefusal.OTHER_TENANT: "a notification of another tenant has the same id: publish each with a new id",
    ReplayRefusal.SAME_KEY: "another notification has the same idempotency key (--force sends both)",
    ReplayRefusal.NO_SUCH_DEAD_LETTER: "no longer exist",
}


def show_dry_run(done: ReplayDryRun, *, as_json: bool) -> None:
    """Print what a replay would do, with a sample of the dead letters."""
    if as_json:
        print_json(done.as_data())
        return
    if done.sample:
        out.print(dead_letters_table(done.sample, datetime.now(UTC)))
    count, chosen = done.replayed, done.chosen
    if done.checked < chosen:
        out.print(
            f"{counted(chosen, 'dead letter')} selected. Of the oldest {done.checked:,} checked, "
            f"{count:,} would be replayed; `--full-scan` checks all."
        )
    else:
        text = f"{counted(count, 'dead letter')} would be replayed."
        out.print(text if count else "Nothing to replay.")
    if done.later:
        out.print(f"{done.later:,} of them are scheduled for later.")
    warn_of_doubt(done.doubtful)
    _show_refused(Counter(refusal.refusal for refusal in done.not_replayed), done.not_replayed)
    explain_left_out(done.selection.uncertain, done.selection.too_late)


def show_summary(done: ReplayView, *, as_json: bool, edited: dict[str, Any] | None = None) -> None:
    """Print the result of a replay, and of the edit before it."""
    if as_json:
        data = done.as_data()
        print_json({**edited, "replay": data} if edited else data)
        return
    summary, now = done.summary, done.summary.outcomes
    lines = (
        ("replayed", summary.replayed, ""),
        ("delivered", now.delivered, "green"),
        ("failed again", now.failed, "red"),
        ("failed again, retrying", now.retrying, "yellow"),
        ("in progress", now.waiting, ""),
        ("scheduled for later", summary.later, ""),
        ("not replayed", _refused_for_several_reasons(summary), "red"),
        ("not started", summary.left, "yellow"),
    )
    for label, count, style in lines:
        if count or label == "replayed":
            out.print(f"[{style or 'default'}]{count:>8,}[/]  {label}")
    if summary.waves:
        each = ", ".join(f"{wave.delivered:,} of {wave.total:,}" for wave in summary.waves)
        out.print(f"Delivered in each wave: {each}.")
    _show_refused(summary.refusals, summary.not_replayed)
    if summary.chosen == len(summary.notifications) == 1:
        err.print(f"[dim]Follow it: `tidings show {summary.notifications[0]}`[/]")
    if summary.stopped:
        err.print(f"[bold yellow]Stopped:[/] {escape(summary.stopped)}")
    _show_how_to_continue(summary)
    explain_left_out(done.uncertain, done.too_late)


def _show_how_to_continue(summary: ReplaySummary) -> None:
    match summary.state:
        case JobState.RUNNING:
            err.print(
                f"The job goes on: `tidings jobs watch {summary.run}`; "
                f"`tidings jobs cancel {summary.run}` ends it."
            )
        case JobState.PAUSED | JobState.STOPPED if summary.left:
            err.print(f"Continue with the rest: `tidings jobs resume {summary.run}`")
    if summary.state is JobState.PAUSED and summary.stopped == INTERRUPTED and summary.left:
        again = shlex.join(["tidings", *sys.argv[1:]])
        err.print(f"Or choose anew: [bold]{escape(again)}[/]")


def _refused_for_several_reasons(summary: ReplaySummary) -> int:
    """The number refused if there are several reasons; a single reason has its own count."""
    counts = [count for reason, count in summary.refusals.items() if reason not in TAKEN]
    return sum(counts) if len(counts) > 1 else 0


def _show_refused(counts: Mapping[ReplayRefusal, int], refused: Iterable[NotReplayed]) -> None:
    """Print the count and remedy for each reason, and the dead letters that need an operator."""
    by_reason: dict[ReplayRefusal, list[NotReplayed]] = defaultdict(list)
    for failure in refused:
        by_reason[failure.refusal].append(failure)
    left = SHOWN
    for reason, count in sorted(counts.items(), key=lambda it: -it[1]):
        out.print(f"{count:>8,}  not replayed: {escape(WHY[reason])}")
        if reason in TAKEN:
            continue
        named = by_reason[reason][:left]
        for failure in named:
            out.print(f"          {failure.dead_letter}: {escape(failure.message)}")
        if count > len(named):
            out.print(f"          … and {count - len(named):,} more: --json lists them")
        left = max(0, left - count)


def warn_of_doubt(count: int) -> None:
    """Warn about possible duplicates."""
    if count:
        err.print(
            f"[bold yellow]Warning:[/] {count:,} of them may have been delivered before: "
            "their recipients may get duplicates.",
            soft_wrap=True,
        )


def explain_left_out(uncertain: int, too_late: int) -> None:
    """Print how many dead letters were skipped, and how to include them.

    Args:
        uncertain: Perhaps delivered already.
        too_late: Would expire again.
    """
    if uncertain:
        err.print(
            f"[dim]{uncertain:,} skipped: they may have been delivered. To replay them, "
            "give --reason outcome_unknown or their ids.[/]"
        )
    if too_late:
        err.print(
            f"[dim]{too_late:,} skipped: they would expire again. Set a new expiry first: "
            "`tidings dead edit ID --set expires_at=…`[/]"
        )
