"""What an edit changes, told to people and to programs; what is said to whom only where it is asked for."""

import json
import shlex
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from tidings.cli.console import err, out
from tidings.cli.harmless import escape
from tidings.operations.dead_letters.body import difference, readable
from tidings.operations.dead_letters.edits import Mended
from tidings.operations.dead_letters.replayer import INTERRUPTED
from tidings.operations.masks import discreet, veiled_fields
from tidings_events.weight import too_heavy

STYLES: Final = {"+": "green", "-": "red", "@": "cyan"}
SHOWN: Final = 20


def show_difference(before: bytes, after: bytes, *, reveal: bool) -> bool:
    """Show what an edit changes; whether it changes anything but how it is written."""
    if readable(before) == readable(after):
        return False
    lines = list(difference(before, after) if reveal else _veiled_difference(before, after))
    for line in lines or ["Its fields can't be told apart: --reveal shows the difference."]:
        style = STYLES.get(line[:1], "default")
        out.print(f"[{style}]{escape(line)}[/]", soft_wrap=True)
    return True


def _veiled_difference(before: bytes, after: bytes) -> Iterator[str]:
    """The fields that differ, each as it was and as it is, without what is said to whom."""
    old, new = veiled_fields(_read(before)), veiled_fields(_read(after))
    for path in dict.fromkeys((*old, *new)):
        was, now = old.get(path), new.get(path)
        if was is not None and now is not None and was.value == now.value:
            continue
        if was is not None:
            yield f'-  "{path}": {was.shown}'
        if now is not None:
            yield f'+  "{path}": {now.shown}'


def _read(body: bytes) -> Any:
    try:
        return None if too_heavy(body) is not None else json.loads(body)
    except (ValueError, RecursionError):
        return None


def show_mended(done: Mended, *, rehearsed: bool, reveal: bool) -> None:
    """Say what an edit of many letters did, or would do."""
    for one in done.sample:
        out.print(f"[dim]Letter {one.letter}[/]")
        show_difference(one.before, one.after, reveal=reveal)
    lines = (
        (len(done.new), "would be edited" if rehearsed else "edited"),
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


def _show_refused(done: Mended) -> None:
    for reason, count in Counter(one.reason for one in done.refused).most_common():
        out.print(f"[red]{count:>8,}[/]  can't be edited so: {reason.replace('_', ' ')}")
    for one in done.refused[:SHOWN]:
        out.print(f"          {one.letter}: {escape(discreet(one.why))}")
    if len(done.refused) > SHOWN:
        rest = len(done.refused) - SHOWN
        out.print(f"          … and {rest:,} more: --json names them all")


def mended_as_data(done: Mended, *, rehearsed: bool) -> dict[str, Any]:
    """The same for other programs."""
    return {
        "chosen": done.chosen,
        "would_edit" if rehearsed else "edited": len(done.new),
        "letters": [] if rehearsed else done.new,
        "unchanged": len(done.unchanged),
        "not_looked_at" if done.cut_short else "left_alone": done.left,
        "refused_by_reason": dict(Counter(one.reason for one in done.refused)),
        "refused": [
            {"letter": one.letter, "reason": one.reason, "why": discreet(one.why)}
            for one in done.refused
        ],
        "stopped": done.stopped,
    }
