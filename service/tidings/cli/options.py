"""Options that several commands share, and how they run an operation."""

import getpass
import socket
from collections.abc import Awaitable, Callable
from typing import Annotated, Final, TypeVar

import typer

from tidings.cli.console import run
from tidings.delivery.id_prefix import SHORTEST, IdPrefix
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend, opened
from tidings.operations.dead_letters.plan import length
from tidings.operations.filters import tenant
from tidings.settings import Settings

Value = TypeVar("Value")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Reveal = Annotated[bool, typer.Option("--reveal", help="Show recipients and content unmasked.")]


def actor() -> Actor:
    """The user who runs the command, as recorded in the history: `cli jane@desk`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = "?"
    return Actor("cli", f"{user}@{socket.gethostname()}")


def ask(operation: Callable[[Backend], Awaitable[Value]]) -> Value:
    """Run one operation. One of our errors ends the command with a message and an exit code."""

    async def work() -> Value:
        async with opened(Settings(), str(actor())) as backend:
            return await operation(backend)

    return run(work())


def id_prefix(text: str) -> IdPrefix:
    """Parse an id or some of its digits.

    Raises:
        typer.BadParameter: It is not an id.
    """
    return parsed(IdPrefix.parse, text)


DIGITS: Final = f"the first {SHORTEST} or more hex digits, or the last 12 (after the last hyphen)"

NotificationId = Annotated[
    IdPrefix,
    typer.Argument(
        parser=id_prefix,
        metavar="ID",
        help=f"Notification id: in full, or {DIGITS}.",
    ),
]


def tenant_name(text: str) -> str:
    """A tenant's name, as a Typer option. Raises like `parsed`."""
    return parsed(tenant, text)


Tenant = Annotated[
    str | None,
    typer.Option("--tenant", parser=tenant_name, metavar="TENANT", help="Only of this tenant."),
]


Cursor = Annotated[
    str | None,
    typer.Option(
        "--cursor",
        metavar="CURSOR",
        help="Continue the list: `next_cursor` of the previous page, with the same filters.",
    ),
]


def _seconds(text: str) -> float:
    return parsed(length, text)


StartsIn = Annotated[
    float,
    typer.Option(
        "--starts-in",
        parser=_seconds,
        metavar="10s",
        help="Do nothing before, at most 5m; `tidings jobs cancel` leaves everything as it is until then.",
    ),
]


def parsed(parse: Callable[[str], Value], text: str, option: str | None = None) -> Value:
    """Parse a value.

    Args:
        option: The option, for the error message.

    Raises:
        typer.BadParameter: `parse` raised a `ValueError`.
    """
    try:
        return parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None
