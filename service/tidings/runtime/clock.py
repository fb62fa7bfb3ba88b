"""The time of day, as one call that a simulation can take the place of."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The time of day."""
    return datetime.now(UTC)
