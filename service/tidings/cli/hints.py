"""Hints after a list: similar values if nothing matches, and the command for the next page."""

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

from tidings.cli.console import err
from tidings.cli.options import ask
from tidings.cli.terminal import escape
from tidings.delivery.outcome import Reason
from tidings.operations.notifications import LOOKED_AT, FilterWords, unused_words
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


def next_page(last: UUID) -> str:
    """The command line of this process with --before set to the last id."""
    return shlex.join(["tidings", *_without_before(sys.argv[1:]), "--before", str(last)])


def _without_before(typed: Sequence[str]) -> Iterator[str]:
    words = iter(typed)
    for word in words:
        if word == "--before":
            next(words, None)
        elif not word.startswith("--before="):
            yield word
