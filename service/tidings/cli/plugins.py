"""Finds what other distributions add to the command line, by the entry points that they declare."""

from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any


def commands() -> Mapping[str, Callable[..., None]]:
    """The commands of the group `tidings.commands`, by name."""
    return dict(_loaded("tidings.commands"))


def hints(environment: Mapping[str, str]) -> Iterator[str]:
    """What those of the group `tidings.hints` can say, by the environment, of a server that does not answer."""
    for _, hint_of in _loaded("tidings.hints"):
        if hint := hint_of(environment):
            yield hint


def _loaded(group: str) -> Iterator[tuple[str, Any]]:
    for entry in entry_points(group=group):
        try:
            loaded = entry.load()
        except (ImportError, AttributeError):
            continue  # its code was removed or renamed, and its metadata was left behind
        yield entry.name, loaded
