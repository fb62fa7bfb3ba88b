"""Names of channels as they are typed: one that is misspelt is told from its neighbour."""

import typer

from tidings.cli.commands import unknown
from tidings_events import CHANNELS


def known_channel(name: str | None) -> str | None:
    """A channel's name, or none.

    Raises:
        typer.BadParameter: There is no such channel.
    """
    if name is not None and name not in CHANNELS:
        raise typer.BadParameter(unknown(name, CHANNELS))
    return name


def known_channels(names: list[str] | None) -> list[str] | None:
    """Several of them. Raises like `known_channel`."""
    for name in names or []:
        if name not in CHANNELS:
            raise typer.BadParameter(unknown(name, CHANNELS, repeated="--channel"))
    return names
