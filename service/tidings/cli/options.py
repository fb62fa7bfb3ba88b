"""What several commands share: options, who is asking, and how a recipient is shown."""

import getpass
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import typer

from tidings.cli.console import out
from tidings.cli.harmless import HarmlessConsole
from tidings.delivery.id_prefix import SHORTEST, IdPrefix
from tidings.delivery.masking import mask
from tidings.ledger import Ledger
from tidings.settings import Settings

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]
Reveal = Annotated[
    bool, typer.Option("--reveal", help="Show recipients in full, and what was written to them.")
]


def actor() -> str:
    """Who is asking, as history keeps it: `cli jane@desk`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = "?"
    return f"cli {user}@{socket.gethostname()}"


@asynccontextmanager
async def open_ledger(settings: Settings) -> AsyncIterator[Ledger]:
    """The ledger, for one command."""
    async with Ledger(settings.ledger, actor=actor()) as ledger:
        yield ledger


def id_prefix(text: str) -> IdPrefix:
    """An id or some of its digits, as a Typer argument.

    Raises:
        typer.BadParameter: It is neither.
    """
    try:
        return IdPrefix.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


OneNotification = Annotated[
    IdPrefix,
    typer.Argument(
        parser=id_prefix,
        metavar="ID",
        help=f"An id, its first {SHORTEST} digits or more, or its last group: any digits that only it has.",
    ),
]


Before = Annotated[
    IdPrefix | None,
    typer.Option(
        "--before",
        parser=id_prefix,
        metavar="ID",
        help="Older than this one, by its id or some of its digits: goes on where a page ended.",
    ),
]


def entity_of(text: str | None) -> tuple[str | None, str | None]:
    """Type and id of what is asked about, e.g. `order:10042`; no id means any.

    Raises:
        typer.BadParameter: A part of it is empty: a script's variable is not set.
    """
    if text is None:
        return None, None
    type_, colon, id_ = text.partition(":")
    if not type_ or (colon and not id_):
        raise typer.BadParameter(
            f"{text!r}: write it like order, or order:10042", param_hint="--entity"
        )
    return type_, id_ or None


def shown(recipient: str, *, reveal: bool) -> str:
    """A recipient, masked unless it is to be revealed."""
    return recipient if reveal else mask(recipient)


def paper() -> HarmlessConsole:
    """Where tables go: the terminal as wide as it is, anything else as wide as they need."""
    return out
