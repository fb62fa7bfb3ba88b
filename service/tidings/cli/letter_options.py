"""Which dead letters a command is about: the options that `tidings dead` and `tidings replay` share."""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Final

import typer

from tidings.cli.options import open_ledger
from tidings.cli.telling import moment
from tidings.delivery.errors import Refused
from tidings.delivery.letter import LetterState
from tidings.delivery.outcome import Reason
from tidings.ledger import Ledger
from tidings.ledger.letter_rows import StoredLetter
from tidings.ledger.letter_search import LetterFilter
from tidings.settings import Settings

OPEN: Final = (LetterState.BURIED, LetterState.REPLAYING)
"""What still calls for somebody."""

Ids = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="ID",
        help="Letters by their id or its first digits, or by their notification's id.",
        show_default=False,
    ),
]
OneId = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="A letter's id or its first digits, or its notification's id."
    ),
]
Channel = Annotated[str | None, typer.Option("--channel", "-c", help="Of this channel.")]
Why = Annotated[Reason | None, typer.Option("--reason", "-r", help="Buried for this reason.")]
Fingerprint = Annotated[
    str | None,
    typer.Option("--fingerprint", "-f", help="Of this group, by its first digits or all of them."),
]
Since = Annotated[
    str | None,
    typer.Option(metavar="WHEN", help="Buried since then: 24h, 7d, or a time with offset."),
]
Until = Annotated[str | None, typer.Option(metavar="WHEN", help="Buried before then.")]
MaxAge = Annotated[
    str | None, typer.Option(metavar="24h", help="Buried in this last while; the same as --since.")
]
User = Annotated[str | None, typer.Option(help="For this `user_id`.")]
Entity = Annotated[
    str | None, typer.Option(metavar="TYPE[:ID]", help="About this, e.g. order:10042.")
]
Category = Annotated[str | None, typer.Option(help="Of this category.")]
States = Annotated[
    list[LetterState] | None,
    typer.Option(
        "--state",
        "-s",
        help="In this state; may be given several times. Otherwise what is still open.",
        show_default=False,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]


def letter_filter(
    *,
    channel: str | None,
    reason: Reason | None,
    fingerprint: str | None,
    since: str | None,
    until: str | None,
    max_age: str | None,
    user: str | None,
    entity: str | None,
    category: str | None,
    states: Iterable[LetterState],
) -> LetterFilter:
    """What the options ask for.

    Raises:
        typer.BadParameter: One of them can't be read, or two contradict each other.
    """
    if since and max_age:
        raise typer.BadParameter("give --since or --max-age, not both")
    if fingerprint and not re.fullmatch(r"[0-9a-f]{1,64}", fingerprint):
        raise typer.BadParameter(f"{fingerprint!r}: a fingerprint is hexadecimal", param_hint="-f")
    type_, _, entity_id = (entity or "").partition(":")
    begins = since or max_age
    return LetterFilter(
        channel=channel,
        reason=reason,
        fingerprint=fingerprint,
        since=moment(begins.removesuffix(" ago")) if begins else None,
        until=moment(until.removesuffix(" ago")) if until else None,
        user_id=user,
        entity_type=type_ or None,
        entity_id=entity_id or None,
        category=category,
        states=tuple(states),
    )


async def with_ids(ledger: Ledger, wanted: LetterFilter, ids: Iterable[str]) -> LetterFilter:
    """The same, of these letters only.

    Raises:
        Refused: One of them is not known, or means several.
    """
    found = [await ledger.letters.search.resolve(text) for text in ids]
    return replace(wanted, ids=tuple(dict.fromkeys(found)))


async def find(text: str) -> tuple[StoredLetter, bytes]:
    """A letter and its body, by what a person typed.

    Raises:
        Refused: There is none, or there are several.
    """
    async with open_ledger(Settings()) as ledger:
        found = await ledger.letters.search.get(await ledger.letters.search.resolve(text))
    if found is None:
        raise Refused(f"there is no dead letter {text}")
    return found
