"""The times of a cron expression: days, leap days, years, gaps and folds."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.delivery.errors import InvalidRequest
from tidings.delivery.recurrence import NICKNAMES, check, times

BERLIN = "Europe/Berlin"
EXPRESSIONS = st.sampled_from(
    ["*/5 * * * *", "30 2 * * *", "0,30 2 * * *", "0 */3 * * *", "15 9 * * MON-FRI", "0 0 L * *"]
)
MOMENTS = st.datetimes(
    datetime.fromisoformat("2024-01-01"),
    datetime.fromisoformat("2031-01-01"),
    timezones=st.just(UTC),
)
ZONES = st.sampled_from([BERLIN, "UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"])


def first(count: int, expression: str, zone: str, after: str) -> list[str]:
    found = islice(times(expression, zone, datetime.fromisoformat(after)), count)
    return [due.strftime("%Y-%m-%dT%H:%MZ") for due in found]


def test_weekdays_go_over_the_end_of_a_year() -> None:
    assert first(3, "30 9 * * MON-FRI", "UTC", "2026-12-31T09:30Z") == [
        "2027-01-01T09:30Z",
        "2027-01-04T09:30Z",
        "2027-01-05T09:30Z",
    ]


def test_a_leap_day_comes_every_four_years() -> None:
    assert first(2, "0 12 29 2 *", "UTC", "2026-01-01T00:00Z") == [
        "2028-02-29T12:00Z",
        "2032-02-29T12:00Z",
    ]


def test_a_skipped_time_of_day_is_due_at_the_end_of_the_gap() -> None:
    assert first(2, "30 2 * * *", BERLIN, "2026-03-28T12:00Z") == [
        "2026-03-29T01:00Z",
        "2026-03-30T00:30Z",
    ]


def test_a_repeated_time_of_day_is_due_the_first_time_only() -> None:
    assert first(2, "30 2 * * *", BERLIN, "2026-10-24T12:00Z") == [
        "2026-10-25T00:30Z",
        "2026-10-26T01:30Z",
    ]


@pytest.mark.parametrize("after", ["2026-10-25T00:30Z", "2026-10-25T01:15Z", "2026-10-25T01:30Z"])
def test_going_on_within_a_fold_repeats_nothing(after: str) -> None:
    assert first(1, "30 2 * * *", BERLIN, after) == ["2026-10-26T01:30Z"]


def test_every_half_hour_goes_on_through_a_fold_and_over_a_gap() -> None:
    through = list(times_of_a_day("*/30 * * * *", "2026-10-24T22:00Z", hours=25))
    over = list(times_of_a_day("*/30 * * * *", "2026-03-28T23:00Z", hours=23))
    assert (len(through), len(over)) == (50, 46)
    for due in (through, over):
        assert {later - earlier for earlier, later in pairwise(due)} == {timedelta(minutes=30)}


def times_of_a_day(expression: str, after: str, hours: int) -> list[datetime]:
    began = datetime.fromisoformat(after)
    ends = began + timedelta(hours=hours)
    found = list(islice(times(expression, BERLIN, began), 100))
    return [due for due in found if due <= ends]


@given(EXPRESSIONS, ZONES, MOMENTS)
def test_times_ascend_and_going_on_from_one_is_going_on_from_the_other(
    expression: str, zone: str, moment: datetime
) -> None:
    due = list(islice(times(expression, zone, moment), 12))
    assert due[0] > moment
    assert all(earlier < later for earlier, later in pairwise(due))
    for place in range(11):
        assert next(times(expression, zone, due[place])) == due[place + 1]


@pytest.mark.parametrize("nickname", NICKNAMES)
def test_nicknames_are_read(nickname: str) -> None:
    check(nickname, BERLIN)
    check(nickname.upper(), BERLIN)


@pytest.mark.parametrize(
    "expression",
    ["", "@reboot", "* * * *", "* * * * * *", "60 * * * *", "0 0 30 2 *", "0 0 * * FOO", "x" * 900],
)
def test_what_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises(InvalidRequest, match="is not a cron expression") as refusal:
        check(expression, "UTC")
    assert refusal.value.field == "cron"
    assert len(str(refusal.value)) < 300


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="is not a time zone"):
        check("@daily", "Mars/Olympus")
