"""Finds what other distributions add to the command line, by the entry points that they declare."""

from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import cast


def names() -> list[str]:
    """The commands of the group `tidings.commands`."""
    return [entry.name for entry in entry_points(group="tidings.commands")]


def command(name: str) -> Callable[..., None]:
    """A command's function.

    Raises:
        KeyError: No distribution adds such a command.
    """
    return cast(Callable[..., None], entry_points(group="tidings.commands")[name].load())


def hints(environment: Mapping[str, str]) -> Iterator[str]:
    """What those of the group `tidings.hints` can say, by the environment, of a server that does not answer."""
    for entry in entry_points(group="tidings.hints"):
        if hint := entry.load()(environment):
            yield hint
