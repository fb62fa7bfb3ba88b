"""Every route of the API, one module per noun."""

from collections.abc import Iterator

from tidings.api.route import Route
from tidings.api.routes import documents, health, notifications


def routes() -> Iterator[Route]:
    """All of them; of two that match, the first serves."""
    yield from notifications.ROUTES
    yield from health.ROUTES
    yield from documents.ROUTES
