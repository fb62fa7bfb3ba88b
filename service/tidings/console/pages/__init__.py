"""Every page of the console, one module a noun."""

from collections.abc import Iterator

from tidings.console.page import ConsolePage
from tidings.console.pages import (
    alerts,
    audit,
    bulk,
    channels,
    dead_letter,
    editing,
    failures,
    health,
    jobs,
    keys,
    notification,
    notifications,
    outbox,
    overview,
    people,
    schedules,
    sessions,
    settings,
    templates,
)


def pages() -> Iterator[ConsolePage]:
    """All of them; of two that match, the first serves."""
    yield from overview.PAGES
    yield from sessions.PAGES
    yield from failures.PAGES
    yield from bulk.PAGES
    yield from dead_letter.PAGES
    yield from editing.PAGES
    yield from jobs.PAGES
    yield from notifications.PAGES
    yield from notification.PAGES
    yield from schedules.PAGES
    yield from channels.PAGES
    yield from audit.PAGES
    yield from keys.PAGES
    yield from settings.PAGES
    yield from health.PAGES
    yield from people.PAGES
    yield from outbox.PAGES
    yield from templates.PAGES
    yield from alerts.PAGES
