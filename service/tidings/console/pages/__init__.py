"""Every page of the console, one module a noun."""

from collections.abc import Iterator

from tidings.console.page import ConsolePage
from tidings.console.pages import (
    bulk,
    failures,
    jobs,
    letters,
    notification,
    notifications,
    overview,
)


def pages() -> Iterator[ConsolePage]:
    """All of them; of two that match, the first serves."""
    yield from overview.PAGES
    yield from failures.PAGES
    yield from bulk.PAGES
    yield from letters.PAGES
    yield from jobs.PAGES
    yield from notifications.PAGES
    yield from notification.PAGES
