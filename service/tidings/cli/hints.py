"""Says what was perhaps meant where nothing matches, and how the next page is read."""

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

from tidings.cli.console import err
from tidings.cli.harmless import escape
from tidings.cli.options import ask
from tidings.delivery.outcome import Reason
from tidings.operations.notifications import LOOKED_AT, unused_words
from tidings.operations.times import counted


def nothing_matches(
    category: str | None, entity_type: str | None, *, otherwise: str | None = None
) -> None:
    """Say so, and whether one of these words was never used.

    Args:
        otherwise: What is said instead, where nothing was asked for that could match.
    """
    err.print(otherwise or "Nothing matches.")
    say_what_is_near(category, entity_type)


def say_what_never_became_a_notification(dead_letters: Mapping[Reason, int]) -> None:
    """How many open dead letters no list of notifications has, and how they are listed."""
    told = [
        f"{counted(count, f'{reason} dead letter')}{' or more' if count >= LOOKED_AT else ''}: "
        f"`tidings dead list --reason {reason}`"
        for reason, count in dead_letters.items()
    ]
    if told:
        err.print(f"[dim]Not listed, for they never became notifications: {'; '.join(told)}[/]")


def say_what_is_near(category: str | None, entity_type: str | None) -> None:
    """Whether one of these words was never used, and which one was perhaps meant."""
    if category is None and entity_type is None:
        return
    for sentence in ask(lambda backend: unused_words(backend, category, entity_type)):
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
