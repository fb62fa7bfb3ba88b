"""Says what was perhaps meant where nothing matches, and how the next page is read."""

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
    """Say so, and whether one of these words was never used.

    Args:
        otherwise: What is said instead, where nothing was asked for that could match.
    """
    err.print(otherwise or "Nothing matches.")
    print_suggestions(words)


def print_unlisted_dead_letters(dead_letters: Mapping[Reason, int]) -> None:
    """How many open dead letters no list of notifications has, and how they are listed."""
    parts = [
        f"{counted(count, f'{reason} dead letter')}{' or more' if count >= LOOKED_AT else ''}: "
        f"`tidings dead list --reason {reason}`"
        for reason, count in dead_letters.items()
    ]
    if parts:
        err.print(f"[dim]Not listed, for they never became notifications: {'; '.join(parts)}[/]")


def print_suggestions(words: FilterWords) -> None:
    """Whether one of these words was never used, and which one was perhaps meant."""
    if words.tenant is words.category is words.entity_type is None:
        return
    for sentence in ask(lambda backend: unused_words(backend, words)):
        err.print(f"[dim]{escape(sentence)}[/]")


def next_page(last: UUID) -> str:
    """The command as it was typed, for what comes after this one."""
    return shlex.join(["tidings", *_without_before(sys.argv[1:]), "--before", str(last)])


def _without_before(typed: Sequence[str]) -> Iterator[str]:
    words = iter(typed)
    for word in words:
        if word == "--before":
            next(words, None)
        elif not word.startswith("--before="):
            yield word
