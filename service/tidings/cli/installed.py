"""Finds what other distributions add to the command line, by the entry points that they declare."""

from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points


def commands() -> Iterator[tuple[str, Callable[..., None]]]:
    """Each name and function of the group `tidings.commands`."""
    for entry in entry_points(group="tidings.commands"):
        yield entry.name, entry.load()


def hints(environment: Mapping[str, str]) -> Iterator[str]:
    """What those of the group `tidings.hints` can say, by the environment, of a server that does not answer."""
    for entry in entry_points(group="tidings.hints"):
        if hint := entry.load()(environment):
            yield hint
