"""Prints the changes of an edit."""

import shlex
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from tidings.cli.console import err, out
from tidings.cli.terminal import SafeConsole, escape
from tidings.operations.dead_letters.edits import EditView
from tidings.operations.dead_letters.field_changes import EditTrial, SampledEdit, trial_in_words
from tidings.operations.dead_letters.pacing import INTERRUPTED

STYLES: Final = {"+": "green", "-": "red", "@": "cyan"}
SHOWN: Final = 20


def show_changes(lines: Sequence[str], to: SafeConsole = out) -> None:
    """Print the diff of one edit."""
    for line in lines or ["The masked fields are the same: --reveal shows the difference."]:
        style = STYLES.get(line[:1], "default")
        to.print(f"[{style}]{escape(line)}[/]", soft_wrap=True)


def show_sample_edits(
    edits: Mapping[UUID, SampledEdit], most: int | None = None, to: SafeConsole = out
) -> None:
    """Print what an edit of many changes in some of them.

    Args:
        edits: By dead letter.
        most: At most so many; all if None.
        to: Where.
    """
    for dead_letter, edit in list(edits.items())[:most]:
        to.print(f"[dim]Dead letter {dead_letter}[/]")
        if edit.problem is not None:
            to.print(f"It stays as it is: {escape(edit.problem)}")
        elif edit.changes is None:
            to.print("It is so already.")
        else:
            show_changes(edit.changes, to)


def show_trial(trial: EditTrial | None, items: int, to: SafeConsole = out) -> None:
    """Print how many of the first dead letters of a job an edit would leave as they are."""
    if trial is not None:
        to.print(trial_in_words(trial, items))


def show_edits(done: EditView) -> None:
    """Print the result of an edit of many dead letters, or of its dry run."""
    for edit in done.sample:
        out.print(f"[dim]Dead letter {edit.dead_letter}[/]")
        if edit.changes is not None:
            show_changes(edit.changes)
    lines = (
        (len(done.new), "would be edited" if done.dry_run else "edited"),
        (len(done.unchanged), "already so"),
        (done.left, "not checked: use `--full-scan`" if done.cut_short else "not edited"),
    )
    for count, label in lines:
        if count or label.endswith("edited"):
            out.print(f"{count:>8,}  {label}")
    _show_refused(done)
    if done.stopped:
        err.print(f"[bold yellow]Stopped:[/] {escape(done.stopped)}")
    if done.stopped == INTERRUPTED:
        again = shlex.join(["tidings", *sys.argv[1:]])
        err.print(f"Continue with the rest: [bold]{escape(again)}[/]")


def _show_refused(done: EditView) -> None:
    for reason, count in Counter(refusal.reason for refusal in done.refused).most_common():
        out.print(f"[red]{count:>8,}[/]  can't be edited: {reason.replace('_', ' ')}")
    for refusal in done.refused[:SHOWN]:
        out.print(f"          {refusal.dead_letter}: {escape(refusal.message)}")
    if len(done.refused) > SHOWN:
        rest = len(done.refused) - SHOWN
        out.print(f"          … and {rest:,} more: --json lists all")
