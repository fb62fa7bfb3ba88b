"""Due times as people and programs submit them: an instant, or a local time and its zone."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tidings.delivery.errors import InvalidRequest
from tidings.delivery.local_time import Adjustment
from tidings.operations.due_times import due_time, with_instant

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_an_instant_is_taken_as_it_is() -> None:
    chosen = due_time("2026-03-02T09:00:00+01:00", None, NOW)
    assert chosen.as_data() == {
        "scheduled_at": "2026-03-02T09:00:00+01:00",
        "timezone": None,
        "adjustment": None,
    }


def test_a_local_time_becomes_the_instant_that_the_contract_has() -> None:
    fields = {"subject": "Hi", "scheduled_at": "2026-03-29T02:30", "timezone": "Europe/Berlin"}
    changed, chosen = with_instant(fields)
    assert changed == {"subject": "Hi", "scheduled_at": "2026-03-29T03:30:00+02:00"}
    assert chosen is not None
    assert chosen.adjustment is Adjustment.GAP


@pytest.mark.parametrize("fields", [{}, {"scheduled_at": "soon"}, {"timezone": None}])
def test_without_a_zone_the_contract_judges_alone(fields: dict[str, Any]) -> None:
    changed, chosen = with_instant(fields)
    assert (changed.get("scheduled_at"), chosen) == (fields.get("scheduled_at"), None)
    assert "timezone" not in changed


def test_the_recipients_zone_is_used_where_it_is_known() -> None:
    fields = {"user_id": "u1", "scheduled_at": "2026-03-02T09:00", "timezone": "recipient"}
    zones = {"u1": "Asia/Tokyo"}
    changed, _ = with_instant(fields, lambda given: zones.get(given["user_id"]))
    assert changed["scheduled_at"] == "2026-03-02T09:00:00+09:00"
    with pytest.raises(InvalidRequest, match="not known") as refusal:
        with_instant(fields)
    assert refusal.value.field == "timezone"


@pytest.mark.parametrize(
    ("scheduled_at", "timezone", "field", "message"),
    [
        ("tomorrow", None, "scheduled_at", "is not a time"),
        (17, "UTC", "scheduled_at", "is not a time"),
        ("2026-03-02T09:00", None, "scheduled_at", "has no offset"),
        ("2026-03-02T09:00Z", "Europe/Berlin", "timezone", "leave one of them out"),
        ("2026-03-02T09:00", "Berlin", "timezone", "did you mean 'Europe/Berlin'"),
        ("2026-03-01T11:58Z", None, "scheduled_at", "has passed"),
        ("2026-03-01T12:30", "Europe/Berlin", "scheduled_at", "has passed"),
        ("2027-03-03T12:00Z", None, "scheduled_at", "more than a year ahead"),
        ("9999-12-31T23:59-12:00", None, "scheduled_at", "outside of the calendar"),
    ],
)
def test_other_times_are_refused_by_field(
    scheduled_at: Any, timezone: str | None, field: str, message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message) as refusal:
        due_time(scheduled_at, timezone, NOW)
    assert refusal.value.field == field


@pytest.mark.parametrize("fields", [{"timezone": "UTC"}, {"timezone": 2, "scheduled_at": "x"}])
def test_a_zone_without_a_time_or_that_is_no_text_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        with_instant(fields)
    assert refusal.value.field == "timezone"


def test_a_clock_that_is_a_little_ahead_refuses_nothing() -> None:
    assert due_time((NOW - timedelta(seconds=30)).isoformat(), None, NOW)
