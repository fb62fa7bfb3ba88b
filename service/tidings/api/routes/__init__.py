"""Every route of the API, one module per noun."""

from collections.abc import Iterator

from tidings.api.route import Route
from tidings.api.routes import (
    alert_rules,
    channels,
    client_files,
    dead_letter_notes,
    dead_letter_owners,
    dead_letters,
    doctor,
    documents,
    explanations,
    health,
    inbox,
    inbox_live,
    inbox_marks,
    jobs,
    lists,
    notifications,
    outbox,
    overview,
    people,
    rescheduling,
    resending,
    scheduler,
    schedules,
    sessions,
    statistics,
    submissions,
    templates,
    trail,
    users,
)


def routes() -> Iterator[Route]:
    """All of them; of two that match, the first serves."""
    yield from lists.ROUTES
    yield from notifications.ROUTES
    yield from explanations.ROUTES
    yield from statistics.ROUTES
    yield from overview.ROUTES
    yield from people.ROUTES
    yield from trail.ROUTES
    yield from dead_letters.ROUTES
    yield from dead_letter_notes.ROUTES
    yield from dead_letter_owners.ROUTES
    yield from jobs.ROUTES
    yield from submissions.ROUTES
    yield from templates.ROUTES
    yield from outbox.ROUTES
    yield from channels.ROUTES
    yield from alert_rules.ROUTES
    yield from doctor.ROUTES
    yield from rescheduling.ROUTES
    yield from resending.ROUTES
    yield from schedules.ROUTES
    yield from scheduler.ROUTES
    yield from inbox.ROUTES
    yield from inbox_marks.ROUTES
    yield from inbox_live.ROUTES
    yield from users.ROUTES
    yield from sessions.ROUTES
    yield from health.ROUTES
    yield from documents.ROUTES
    yield from client_files.ROUTES
