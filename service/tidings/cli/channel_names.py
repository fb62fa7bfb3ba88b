"""Validates names of channels, with a suggestion for a misspelt one."""

import typer

from tidings.cli.commands import unknown
from tidings_events import CHANNELS


def known_channel(name: str | None) -> str | None:
    """Check the name of a channel.

    Raises:
        typer.BadParameter: There is no such channel.
    """
    if name is not None and name not in CHANNELS:
        raise typer.BadParameter(unknown(name, CHANNELS))
    return name


def known_channels(names: list[str] | None) -> list[str] | None:
    """Check several names. Raises like `known_channel`."""
    for name in names or []:
        if name not in CHANNELS:
            raise typer.BadParameter(unknown(name, CHANNELS, repeated="--channel"))
    return names
