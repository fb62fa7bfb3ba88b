"""What several commands share: options, how they are read, and who is asking."""

import getpass
import socket
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

from tidings.cli.console import run
from tidings.delivery.id_prefix import SHORTEST, IdPrefix
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend, opened
from tidings.operations.filters import entity, tenant
from tidings.settings import Settings

Value = TypeVar("Value")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]
Reveal = Annotated[
    bool, typer.Option("--reveal", help="Show recipients in full, and what was written to them.")
]


def actor() -> Actor:
    """The person who typed the command, as history keeps it: `cli jane@desk`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = "?"
    return Actor("cli", f"{user}@{socket.gethostname()}")


def ask(operation: Callable[[Backend], Awaitable[Value]]) -> Value:
    """Run one operation to its end; our own errors end the command with a sentence and an exit code."""

    async def work() -> Value:
        async with opened(Settings(), str(actor())) as backend:
            return await operation(backend)

    return run(work())


def id_prefix(text: str) -> IdPrefix:
    """An id or some of its digits, as a Typer argument.

    Raises:
        typer.BadParameter: It is neither.
    """
    return parsed(IdPrefix.parse, text)


NotificationId = Annotated[
    IdPrefix,
    typer.Argument(
        parser=id_prefix,
        metavar="ID",
        help=f"An id, its first {SHORTEST} digits or more, or its last group: any digits that only it has.",
    ),
]


def tenant_name(text: str) -> str:
    """A tenant's name, as a Typer option. Raises like `parsed`."""
    return parsed(tenant, text)


Tenant = Annotated[
    str | None,
    typer.Option("--tenant", parser=tenant_name, metavar="TENANT", help="Of this tenant."),
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
    """Type and id of an entity; none where it is not given. Raises like `parsed`."""
    return (None, None) if text is None else parsed(entity, text, "--entity")


def parsed(parse: Callable[[str], Value], text: str, option: str | None = None) -> Value:
    """A value as `parse` reads it.

    Args:
        option: The option that it was given for.

    Raises:
        typer.BadParameter: `parse` raised a `ValueError`.
    """
    try:
        return parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None
