"""Reads the due time of a notification: an instant, or a local time and its zone."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from tidings.delivery.errors import InvalidRequest
from tidings.delivery.local_time import LocalTime, in_zone
from tidings_events.notifications.base import CLOCK_SKEW, FURTHEST_AHEAD

RECIPIENTS_ZONE: Final = "recipient"
"""As `timezone`: the zone where the recipient is."""

ZoneOf = Callable[[Mapping[str, Any]], str | None]
"""The zone of a notification's recipient, from its fields; None if it is not known."""


def zone_is_unknown(_: Mapping[str, Any]) -> str | None:
    """No zone: nothing is stored about users."""
    return None


def due_time(
    scheduled_at: str, timezone: str | None = None, now: datetime | None = None
) -> LocalTime:
    """The instant that a person or program means, within the coming year.

    Args:
        scheduled_at: ISO 8601: with an offset and without `timezone`, or without one and with it.
        timezone: IANA name.
        now: For tests.

    Raises:
        InvalidRequest: It is no time, has passed, is more than a year ahead, or has no zone or two.
    """
    chosen = _instant(scheduled_at, timezone)
    now = now or datetime.now(UTC)
    if chosen.at < now - CLOCK_SKEW:
        raise InvalidRequest(f"{chosen.at.isoformat()} has passed", field="scheduled_at")
    if chosen.at > now + FURTHEST_AHEAD:
        raise InvalidRequest(
            f"{chosen.at.isoformat()} is more than a year ahead; schedule it nearer the time",
            field="scheduled_at",
        )
    return chosen


def _instant(scheduled_at: str, timezone: str | None) -> LocalTime:
    try:
        written = datetime.fromisoformat(scheduled_at)
    except (ValueError, TypeError):
        raise InvalidRequest(
            f"{str(scheduled_at)[:60]!r} is not a time; write it like 2026-12-24T18:00:00+01:00, or without the "
            "offset and with its time zone",
            field="scheduled_at",
        ) from None
    return _placed(written, timezone)


def _placed(written: datetime, timezone: str | None) -> LocalTime:
    if written.tzinfo is None:
        if timezone is None:
            raise InvalidRequest(
                "has no offset; add one, like +01:00 or Z, or name its time zone",
                field="scheduled_at",
            )
        return in_zone(written, timezone)
    if timezone is not None:
        raise InvalidRequest(
            "is given beside an offset in `scheduled_at`; leave one of them out", field="timezone"
        )
    try:
        written.astimezone(UTC)
    except OverflowError:
        raise InvalidRequest("is outside of the calendar", field="scheduled_at") from None
    return LocalTime(written)


def with_instant(
    fields: Mapping[str, Any], zone_of: ZoneOf = zone_is_unknown
) -> tuple[Mapping[str, Any], LocalTime | None]:
    """A notification's fields as the contract has them, with the instant that was chosen.

    `timezone` is no field of the contract: it becomes the offset of `scheduled_at`. Without it nothing is changed, and
    None returned. The contract judges the rest, whether the instant has passed included.

    Args:
        fields: As they were submitted, over HTTP.
        zone_of: Asked if `timezone` is `recipient`.

    Raises:
        InvalidRequest: The time or zone is not valid; names the field.
    """
    if "timezone" not in fields:
        return fields, None
    rest = {name: value for name, value in fields.items() if name != "timezone"}
    timezone, scheduled_at = fields["timezone"], fields.get("scheduled_at")
    if timezone is None:
        return rest, None
    if not isinstance(timezone, str):
        raise InvalidRequest("is not a text; write an IANA name", field="timezone")
    if scheduled_at is None:
        raise InvalidRequest("is given without `scheduled_at`; leave it out", field="timezone")
    if timezone == RECIPIENTS_ZONE:
        found = zone_of(rest)
        if found is None:
            raise InvalidRequest(
                "is the recipient's, which is not known; write an IANA name, like Europe/Berlin",
                field="timezone",
            )
        timezone = found
    chosen = _instant(scheduled_at, timezone)
    return {**rest, "scheduled_at": chosen.at.isoformat()}, chosen
