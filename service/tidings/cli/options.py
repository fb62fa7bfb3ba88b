"""What several commands share: options, who is asking, and how a recipient is shown."""

import getpass
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Final

import typer
from rich.console import Console

from tidings.cli.console import out
from tidings.delivery.masking import mask
from tidings.ledger import Ledger
from tidings.ledger.reports import IdPrefix
from tidings.settings import Settings

WIDE: Final = 200
"""Columns where nobody watches: what goes into a file or a pipe is not cut."""

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
    """An id or its first digits, as a Typer argument.

    Raises:
        typer.BadParameter: It is neither.
    """
    try:
        return IdPrefix.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def shown(recipient: str, *, reveal: bool) -> str:
    """A recipient, masked unless it is to be revealed."""
    return recipient if reveal else mask(recipient)


def paper() -> Console:
    """Where tables go: the terminal as wide as it is, anything else as wide as they need."""
    return out if out.is_terminal else Console(width=WIDE, highlight=False)
