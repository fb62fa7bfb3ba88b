"""Partitions begin on Mondays, leave no gap, and are as wide as the retention is long."""

from datetime import date

from tidings.ledger.partitions import spans
from tidings.ledger.retention import RetentionPeriods

SUNDAY = date(2026, 11, 29)
WEEK = 7 * 86_400.0


def days(taken: list[tuple[date, date]], weeks: int = 1) -> list[str]:
    return [f"{since:%a %d.%m} {until:%a %d.%m}" for since, until in spans(taken, SUNDAY, weeks)]


def test_this_week_and_the_two_ahead_begin_on_mondays() -> None:
    assert days([]) == ["Mon 23.11 Mon 30.11", "Mon 30.11 Mon 07.12", "Mon 07.12 Mon 14.12"]


def test_what_is_covered_is_left_out() -> None:
    assert days([(date(2026, 11, 23), date(2026, 12, 7))]) == ["Mon 07.12 Mon 14.12"]


def test_several_weeks_end_where_the_same_weeks_always_end_or_others_begin() -> None:
    assert days([], 4) == ["Mon 23.11 Mon 21.12"]
    later = [(date(2026, 12, 7), date(2026, 12, 14))]
    assert days(later, 4) == ["Mon 23.11 Mon 07.12"]


def test_about_eight_partitions_are_alive() -> None:
    assert [RetentionPeriods(n * WEEK).weeks for n in (1, 4, 8, 16, 52)] == [1, 1, 1, 2, 6]
    assert RetentionPeriods(0).weeks == 52
