"""Which dead letters a command is about: the options that `tidings dead` and `tidings replay` share."""

import re
from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum
from typing import Annotated

import typer

from tidings.cli.channel_names import known_channel
from tidings.cli.commands import Unclear
from tidings.cli.options import entity_of, id_prefix, open_ledger, parsed
from tidings.delivery.errors import Refused
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.letter import OPEN, LetterState
from tidings.delivery.outcome import Reason
from tidings.ledger import Ledger
from tidings.ledger.dead_letters.rows import StoredLetter
from tidings.ledger.dead_letters.search import LetterFilter
from tidings.operations.times import moment
from tidings.settings import Settings


class WhichState(StrEnum):
    """What `--state` takes: a letter's state, or all of them."""

    BURIED = LetterState.BURIED.value
    REPLAYING = LetterState.REPLAYING.value
    REPLAYED = LetterState.REPLAYED.value
    DISCARDED = LetterState.DISCARDED.value
    SUPERSEDED = LetterState.SUPERSEDED.value
    ALL = "all"


Ids = Annotated[
    list[IdPrefix] | None,
    typer.Argument(
        parser=id_prefix,
        metavar="[ID]...",
        help="Letters by their id or its first digits, or by their notification's id or its last group.",
        show_default=False,
    ),
]
OneId = Annotated[
    IdPrefix,
    typer.Argument(
        parser=id_prefix,
        metavar="ID",
        help="A letter's id or its first digits, or its notification's id or its last group.",
    ),
]
Channel = Annotated[
    str | None, typer.Option("--channel", "-c", callback=known_channel, help="Of this channel.")
]
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
Recipient = Annotated[
    str | None, typer.Option("--to", help="To this recipient, in full as it was published.")
]
WithId = Annotated[
    IdPrefix | None,
    typer.Option(
        "--id",
        parser=id_prefix,
        metavar="ID",
        help="Of this notification, or this letter, by its id or some of its digits.",
    ),
]
Category = Annotated[str | None, typer.Option(help="Of this category.")]
States = Annotated[
    list[WhichState] | None,
    typer.Option(
        "--state",
        "-s",
        help="In this state; may be given several times. Otherwise what is still open: buried, or "
        "being replayed.",
        show_default=False,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]


def states_of(chosen: Iterable[WhichState] | None) -> tuple[LetterState, ...]:
    """The states that `--state` asks for; those that are open where it is not given."""
    named = set(chosen or ())
    if not named:
        return OPEN
    return tuple(one for one in LetterState if WhichState.ALL in named or one.value in named)


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
    recipient: str | None,
    id_prefix: IdPrefix | None,
    states: Iterable[LetterState],
) -> LetterFilter:
    """What the options ask for.

    Raises:
        typer.BadParameter: One of them can't be read, or two contradict each other.
    """
    if since and max_age:
        raise Unclear("give --since or --max-age, not both")
    if fingerprint and not re.fullmatch(r"[0-9a-f]{1,64}", fingerprint):
        raise typer.BadParameter(f"{fingerprint!r}: a fingerprint is hexadecimal", param_hint="-f")
    type_, entity_id = entity_of(entity)
    begins = since or max_age
    return LetterFilter(
        channel=channel,
        reason=reason,
        fingerprint=fingerprint,
        since=parsed(moment, begins.removesuffix(" ago"), "--since" if since else "--max-age")
        if begins
        else None,
        until=parsed(moment, until.removesuffix(" ago"), "--until") if until else None,
        user_id=user,
        entity_type=type_,
        entity_id=entity_id,
        category=category,
        recipient=recipient,
        id_prefix=id_prefix,
        states=tuple(states),
    )


async def with_ids(ledger: Ledger, wanted: LetterFilter, ids: Iterable[IdPrefix]) -> LetterFilter:
    """The same, of these letters only.

    Raises:
        Refused: One of them is not known, or means several.
    """
    found = [await ledger.letters.search.resolve(one) for one in ids]
    return replace(wanted, ids=tuple(dict.fromkeys(found)))


async def find(id: IdPrefix) -> tuple[StoredLetter, bytes]:
    """A letter and its body, by what a person typed.

    Raises:
        Refused: There is none, or there are several.
    """
    async with open_ledger(Settings()) as ledger:
        found = await ledger.letters.search.get(await ledger.letters.search.resolve(id))
    if found is None:
        raise Refused(f"there is no dead letter {id.text}")
    return found
