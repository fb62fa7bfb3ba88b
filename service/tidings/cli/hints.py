"""Says what was perhaps meant where nothing matches, and how the next page is read."""

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

from tidings.cli.console import err, run
from tidings.cli.harmless import escape
from tidings.cli.options import open_ledger
from tidings.delivery.outcome import Reason
from tidings.ledger.operators.reports import LOOKED_AT, Words
from tidings.operations.suggestions import did_you_mean
from tidings.operations.times import counted
from tidings.settings import Settings


def nothing_matches(
    category: str | None, entity_type: str | None, *, otherwise: str | None = None
) -> None:
    """Say so, and whether one of these words was never used.

    Args:
        otherwise: What is said instead, where nothing was asked for that could match.
    """
    err.print(otherwise or "Nothing matches.")
    say_what_is_near(category, entity_type)


def say_what_never_became_a_notification(letters: Mapping[Reason, int]) -> None:
    """How many open dead letters no list of notifications has, and how they are listed."""
    told = [
        f"{counted(count, f'{reason} dead letter')}{' or more' if count >= LOOKED_AT else ''}: "
        f"`tidings dead list --reason {reason}`"
        for reason, count in letters.items()
    ]
    if told:
        err.print(f"[dim]Not listed, for they never became notifications: {'; '.join(told)}[/]")


def say_what_is_near(category: str | None, entity_type: str | None) -> None:
    """Whether one of these words was never used, and which one was perhaps meant."""
    if category is None and entity_type is None:
        return
    words = run(_words())
    _say("category", category, words.categories)
    _say("entity", entity_type, words.entity_types)


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


def _say(what: str, given: str | None, known: frozenset[str]) -> None:
    if given is not None and given not in known:
        near = did_you_mean(given, known)
        err.print(f"[dim]Nothing recent has the {what} {escape(repr(given))}{near}.[/]")


async def _words() -> Words:
    settings = Settings()
    async with open_ledger(settings) as ledger:
        return await ledger.reports.words()
