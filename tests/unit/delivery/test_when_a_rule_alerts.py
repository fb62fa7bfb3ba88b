"""When enough dead letters came within a rule's time."""

from datetime import UTC, datetime, timedelta

from tidings.delivery.alert_rules import Arrivals, Reached, reached

START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def arrivals(*counts: int) -> list[Arrivals]:
    """So many in each minute; minutes without any are left out, as the ledger does."""
    minutes = (START + timedelta(minutes=place) for place in range(len(counts)))
    return [Arrivals(at, count) for at, count in zip(minutes, counts, strict=True) if count]


def minute(place: int) -> datetime:
    return START + timedelta(minutes=place)


def test_nothing_is_reached_by_nothing_or_by_too_few() -> None:
    assert reached([], 1, 60) is None
    assert reached(arrivals(4, 5), 10, 300) is None


def test_the_threshold_is_enough() -> None:
    assert reached(arrivals(4, 6), 10, 300) == Reached(minute(0), 10)


def test_what_came_too_far_apart_does_not_add_up() -> None:
    assert reached(arrivals(5, 0, 0, 0, 0, 5), 10, 300) is None
    assert reached(arrivals(5, 0, 0, 0, 5), 10, 300) == Reached(minute(0), 10)


def test_a_burst_that_nobody_was_there_to_judge_is_reported_with_all_that_came_since() -> None:
    assert reached(arrivals(1, 0, 0, 9, 3, 0, 0, 0, 2), 10, 120) == Reached(minute(3), 14)


def test_a_window_shorter_than_a_minute_is_a_minute() -> None:
    assert reached(arrivals(2, 1), 3, 1) is None
    assert reached(arrivals(3), 3, 1) == Reached(minute(0), 3)
