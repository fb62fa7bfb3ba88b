"""What a replay did, or would do, told to people and to programs."""

import shlex
import sys
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from tidings.cli.console import err, out, print_json
from tidings.cli.dead_letter_views import dead_letters_table
from tidings.cli.terminal import escape
from tidings.delivery.archiving import ReplayRefusal
from tidings.operations.dead_letters.pacing import INTERRUPTED
from tidings.operations.dead_letters.replays import (
    NotReplayed,
    ReplayDryRun,
    ReplaySummary,
    ReplayView,
    Selection,
)
from tidings.operations.times import counted

SHOWN: Final = 20
WHY: Final = {
    ReplayRefusal.ALREADY_REPLAYED: "replayed already (--force replays them again)",
    ReplayRefusal.BEING_REPLAYED: "taken by another replay",
    ReplayRefusal.SUPERSEDED: "superseded: replay the dead letter in their place",
    ReplayRefusal.DISCARDED: "discarded: publish a new notification instead",
    ReplayRefusal.MALFORMED: "can't be read: mend each with `tidings dead edit ID --replay`",
    ReplayRefusal.UNDER_WAY: "their notification is under way: wait until it has ended",
    ReplayRefusal.ENDED: "their notification has ended otherwise: publish a new one",
    ReplayRefusal.SENT: "their notification was sent (--force sends it again)",
    ReplayRefusal.NEWER_EPOCH: "their notification was replayed since: replay its later dead letter (--force replays these)",
    ReplayRefusal.SAME_NOTIFICATION: "another dead letter of the same notification goes in their place",
    ReplayRefusal.OTHER_CONTENT: "other content is stored under their id: publish each with an id of its own (--force sends theirs in its place)",
    ReplayRefusal.OTHER_TENANT: "their id is another tenant's: publish each with an id of its own",
    ReplayRefusal.SAME_KEY: "another notification has the same idempotency key (--force sends both)",
    ReplayRefusal.NO_SUCH_DEAD_LETTER: "gone meanwhile",
}


def show_dry_run(done: ReplayDryRun, *, as_json: bool) -> None:
    """Say what a replay would do, and show a few of the dead letters that it would take."""
    if as_json:
        print_json(done.as_data())
        return
    if done.sample:
        out.print(dead_letters_table(done.sample, datetime.now(UTC)))
    count, chosen = done.replayed, done.chosen
    if done.checked < chosen:
        out.print(
            f"{counted(chosen, 'dead letter')} chosen. Of the oldest {done.checked:,} that were looked at, "
            f"{count:,} would be replayed; `--whole` looks at all."
        )
    else:
        text = f"{counted(count, 'dead letter')} would be replayed."
        out.print(text if count else "There is nothing to replay.")
    if done.later:
        out.print(f"{done.later:,} of them would be stored until they are due.")
    warn_of_doubt(done.doubtful)
    _show_refused(done.not_replayed)
    explain_left_out(done.selection)


def show_summary(done: ReplayView, *, as_json: bool, edited: dict[str, Any] | None = None) -> None:
    """Say what a replay did, and what was edited before."""
    if as_json:
        data = done.as_data()
        print_json({**edited, "replay": data} if edited else data)
        return
    summary, now = done.summary, done.summary.outcomes
    lines = (
        ("replayed", summary.replayed, ""),
        ("delivered", now.delivered, "green"),
        ("failed again", now.failed, "red"),
        ("failed once more, tried again", now.retrying, "yellow"),
        ("still under way", now.waiting, ""),
        ("stored until they are due", summary.later, ""),
        ("could not be replayed", _refused_for_several_reasons(summary), "red"),
        ("left alone", summary.left, "yellow"),
    )
    for label, count, style in lines:
        if count or label == "replayed":
            out.print(f"[{style or 'default'}]{count:>8,}[/]  {label}")
    if summary.waves:
        each = ", ".join(f"{wave.delivered:,} of {wave.total:,}" for wave in summary.waves)
        out.print(f"Delivered of each wave: {each}.")
    _show_refused(summary.not_replayed)
    if summary.chosen == len(summary.notifications) == 1:
        err.print(f"[dim]What became of it: `tidings show {summary.notifications[0]}`[/]")
    if summary.stopped:
        err.print(f"[bold yellow]Stopped:[/] {escape(summary.stopped)}")
    if summary.stopped == INTERRUPTED and summary.left:
        again = shlex.join(["tidings", *sys.argv[1:]])
        err.print(f"Go on with what is left: [bold]{escape(again)}[/]")
    explain_left_out(done.selection)


def _refused_for_several_reasons(summary: ReplaySummary) -> int:
    """All of them; where there is but one reason, its own line counts them."""
    return len(summary.refused) if len({failure.refusal for failure in summary.refused}) > 1 else 0


def _show_refused(refused: Iterable[NotReplayed]) -> None:
    """How many for each reason with what to do, and which ones where a person has to act."""
    by_reason: dict[ReplayRefusal, list[NotReplayed]] = defaultdict(list)
    for failure in refused:
        by_reason[failure.refusal].append(failure)
    left = SHOWN
    for reason, same in sorted(by_reason.items(), key=lambda it: -len(it[1])):
        out.print(f"{len(same):>8,}  not replayed: {escape(WHY[reason])}")
        named = [failure for failure in same if not failure.taken]
        for failure in named[:left]:
            out.print(f"          {failure.dead_letter}: {escape(failure.message)}")
        if len(named) > left:
            out.print(f"          … and {len(named) - left:,} more: --json names them all")
        left = max(0, left - len(named))


def warn_of_doubt(count: int) -> None:
    """Say how many may have arrived before."""
    if count:
        err.print(
            f"[bold yellow]Warning:[/] {count:,} of them may have been delivered before: "
            "whom they are for may get them twice.",
            soft_wrap=True,
        )


def explain_left_out(selection: Selection) -> None:
    """Say which dead letters are for a person to decide, and how."""
    if selection.uncertain:
        err.print(
            f"[dim]{selection.uncertain:,} skipped: perhaps delivered already, so a person decides: "
            "--reason outcome_unknown, or their ids.[/]"
        )
    if selection.too_late:
        err.print(
            f"[dim]{selection.too_late:,} skipped: their expires_at has passed and they would expire "
            "again: `tidings dead edit ID --set expires_at=…` first.[/]"
        )
