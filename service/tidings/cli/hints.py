"""Hints after a list: similar values if nothing matches, and the command for the next page."""

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tidings.cli.console import err
from tidings.cli.options import ask
from tidings.cli.terminal import escape
from tidings.delivery.outcome import Reason
from tidings.operations.notifications import LOOKED_AT, FilterWords, unused_words
from tidings.operations.pages import PageView
from tidings.operations.times import counted


def print_no_match(words: FilterWords, *, otherwise: str | None = None) -> None:
    """Print that nothing matches, and suggest values for those that are not in use.

    Args:
        otherwise: Printed instead if no filter was given.
    """
    err.print(otherwise or "No matches.")
    print_suggestions(words)


def print_unlisted_dead_letters(dead_letters: Mapping[Reason, int]) -> None:
    """Count the open dead letters without a notification, and name the command that lists them."""
    parts = [
        f"{counted(count, f'{reason} dead letter')}{' or more' if count >= LOOKED_AT else ''}: "
        f"`tidings dead list --reason {reason}`"
        for reason, count in dead_letters.items()
    ]
    if parts:
        err.print(
            f"[dim]Not listed, because they never became notifications: {'; '.join(parts)}[/]"
        )


def print_suggestions(words: FilterWords) -> None:
    """Suggest values for a category or entity type that is not in use."""
    if words.tenant is words.category is words.entity_type is None:
        return
    for sentence in ask(lambda backend: unused_words(backend, words)):
        err.print(f"[dim]{escape(sentence)}[/]")


def print_next_page(page: PageView[Any], *, more: str = "Next page", then: str = "") -> None:
    """Print the command that continues a list; nothing at its end.

    Args:
        page: The page of the list.
        more: Printed before the command.
        then: Printed behind it.
    """
    if page.next_cursor is None:
        return
    command = ["tidings", *_without_cursor(sys.argv[1:]), "--cursor", page.next_cursor]
    err.print(f"[dim]{more}: `{escape(shlex.join(command))}`{then}[/]")


def _without_cursor(typed: Sequence[str]) -> Iterator[str]:
    words = iter(typed)
    for word in words:
        if word == "--cursor":
            next(words, None)
        elif not word.startswith("--cursor="):
            yield word
