"""Finds commands and hints of other distributions by their entry points."""

from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any


def commands() -> Mapping[str, Callable[..., None]]:
    """Commands of the entry point group `tidings.commands`, by name."""
    return dict(_loaded("tidings.commands"))


def hints(environment: Mapping[str, str]) -> Iterator[str]:
    """Hints about an unavailable server, from the entry point group `tidings.hints`."""
    for _, hint_of in _loaded("tidings.hints"):
        if hint := hint_of(environment):
            yield hint


def _loaded(group: str) -> Iterator[tuple[str, Any]]:
    for entry in entry_points(group=group):
        try:
            loaded = entry.load()
        except (ImportError, AttributeError):
            continue  # stale metadata of removed code
        yield entry.name, loaded
