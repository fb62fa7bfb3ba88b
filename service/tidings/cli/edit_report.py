"""What an edit changes, told to people and to programs; what is said to whom only where it is asked for."""

import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Final

from tidings.cli.console import err, out
from tidings.cli.terminal import escape
from tidings.operations.dead_letters.edits import EditView
from tidings.operations.dead_letters.pacing import INTERRUPTED

STYLES: Final = {"+": "green", "-": "red", "@": "cyan"}
SHOWN: Final = 20


def show_changes(lines: Sequence[str]) -> None:
    """Show what an edit changes."""
    for line in lines or ["Its fields can't be told apart: --reveal shows the difference."]:
        style = STYLES.get(line[:1], "default")
        out.print(f"[{style}]{escape(line)}[/]", soft_wrap=True)


def show_edits(done: EditView) -> None:
    """Say what an edit of many dead letters did, or would do."""
    for edit in done.sample:
        out.print(f"[dim]Dead letter {edit.dead_letter}[/]")
        if edit.changes is not None:
            show_changes(edit.changes)
    lines = (
        (len(done.new), "would be edited" if done.dry_run else "edited"),
        (len(done.unchanged), "so already"),
        (done.left, "not looked at: `--whole` does" if done.cut_short else "left alone"),
    )
    for count, label in lines:
        if count or label.endswith("edited"):
            out.print(f"{count:>8,}  {label}")
    _show_refused(done)
    if done.stopped:
        err.print(f"[bold yellow]Stopped:[/] {escape(done.stopped)}")
    if done.stopped == INTERRUPTED:
        again = shlex.join(["tidings", *sys.argv[1:]])
        err.print(f"Go on with what is left: [bold]{escape(again)}[/]")


def _show_refused(done: EditView) -> None:
    for reason, count in Counter(refusal.reason for refusal in done.refused).most_common():
        out.print(f"[red]{count:>8,}[/]  can't be edited so: {reason.replace('_', ' ')}")
    for refusal in done.refused[:SHOWN]:
        out.print(f"          {refusal.dead_letter}: {escape(refusal.message)}")
    if len(done.refused) > SHOWN:
        rest = len(done.refused) - SHOWN
        out.print(f"          … and {rest:,} more: --json names them all")
