"""What a replay did, told to people and to programs."""

from typing import Any, Final

from rich.markup import escape

from tidings.cli.console import err, out, print_json
from tidings.cli.veil import printable
from tidings.dead_letters.replay import Summary
from tidings.ledger.letter_search import Selection

SHOWN: Final = 20


def show_summary(summary: Summary, selection: Selection, *, as_json: bool) -> None:
    """Say what a replay did."""
    if as_json:
        print_json(_as_data(summary, selection))
        return
    now = summary.outcomes
    lines = (
        ("replayed", summary.replayed, ""),
        ("delivered again", now.delivered, "green"),
        ("failed again", now.failed, "red"),
        ("failed once more, tried again", now.retrying, "yellow"),
        ("still under way", now.waiting, ""),
        ("stored until they are due", summary.later, ""),
        ("taken by another replay", summary.taken, ""),
        ("could not be replayed", len(summary.refused), "red"),
        ("left alone", summary.left, "yellow"),
    )
    for label, count, style in lines:
        if count or label == "replayed":
            out.print(f"[{style or 'default'}]{count:>8,}[/]  {label}")
    for one in summary.refused[:SHOWN]:
        out.print(f"  {one.letter}: {escape(printable(one.why))}")
    if len(summary.refused) > SHOWN:
        out.print(f"  … and {len(summary.refused) - SHOWN:,} more: --json names them all")
    if summary.stopped:
        err.print(f"[bold yellow]Stopped:[/] {escape(summary.stopped)}")
    explain_left_out(selection)


def _as_data(summary: Summary, selection: Selection) -> dict[str, Any]:
    now = summary.outcomes
    return {
        "run": summary.run,
        "chosen": summary.chosen,
        "replayed": summary.replayed,
        "delivered_again": now.delivered,
        "failed_again": now.failed,
        "retrying": now.retrying,
        "under_way": now.waiting,
        "stored_until_due": summary.later,
        "taken_by_another": summary.taken,
        "left_alone": summary.left,
        **left_out(selection),
        "refused": [{"letter": one.letter, "why": one.why} for one in summary.refused],
        "stopped": summary.stopped,
    }


def left_out(selection: Selection) -> dict[str, int]:
    """Letters for a person to decide, for other programs."""
    return {
        "skipped_outcome_unknown": selection.uncertain,
        "skipped_too_late": selection.too_late,
    }


def explain_left_out(selection: Selection) -> None:
    """Say which letters are for a person to decide, and how."""
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
