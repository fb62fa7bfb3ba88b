"""Times, lengths of time and shares, as people read and write them."""

from datetime import UTC, datetime, timedelta

import pytest

from tidings.operations.times import ago, ahead, clock, distance, exact, moment, share, span

NOW = datetime(2026, 11, 22, 18, 6, 17, 123_456, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"),
        (0.0035, "4ms"),
        (0.999, "999ms"),
        (0.9997, "1s"),
        (1.25, "1.2s"),
        (2, "2s"),
        (59, "59s"),
        (59.98, "1m"),
        (60, "1m"),
        (72, "1m 12s"),
        (3600, "1h"),
        (3605, "1h 5s"),
        (3672, "1h 1m"),
        (100_000, "1d 3h"),
        (-72, "-1m 12s"),
    ],
)
def test_a_length_of_time_is_said_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "coarse", "fine"),
    [
        (0.2, "now", "now"),
        (3, "3s ago", "3s ago"),
        (192, "3m ago", "3m 12s ago"),
        (-119, "in 1m", "in 1m 59s"),
        (90_000, "1d ago", "1d 1h ago"),
    ],
)
def test_a_time_is_said_by_how_far_it_is(seconds: float, coarse: str, fine: str) -> None:
    then = NOW - timedelta(seconds=seconds)
    assert (ago(then, NOW), distance(then, NOW)) == (coarse, fine)


def test_an_exact_time_has_milliseconds_and_an_offset() -> None:
    text = exact(NOW)
    assert datetime.fromisoformat(text.replace(" +", "+").replace(" -", "-")) == NOW.replace(
        microsecond=123_000
    )


def test_a_clock_time_has_its_date_only_where_it_is_another_day() -> None:
    assert " " not in clock(NOW, NOW)
    assert " " in clock(NOW + timedelta(days=2), NOW)


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (None, "–"),
        (0, "0 %"),
        (1, "100 %"),
        (0.5, "50 %"),
        (0.9994, ">99.9 %"),
        (0.0004, "<0.1 %"),
        (0.123, "12.3 %"),
    ],
)
def test_a_share_that_is_not_all_is_never_said_to_be_all(part: float | None, text: str) -> None:
    assert share(part) == text


def test_a_time_is_read_as_how_long_ago_or_as_written() -> None:
    assert moment("24h", NOW) == NOW - timedelta(hours=24)
    assert moment("2026-11-22T19:00:00+01:00") == datetime(2026, 11, 22, 18, tzinfo=UTC)
    local = moment("2026-11-22")
    assert local.tzinfo is not None
    assert (local.hour, local.minute) == (0, 0)


@pytest.mark.parametrize("text", ["", "yesterday", "24", "2026-13-01"])
def test_what_is_no_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="how long ago"):
        moment(text)


@pytest.mark.parametrize(
    "text", ["99999999d", f"{'9' * 400}d", "0001-01-01", "9999-12-31T23:59:59-23:59"]
)
def test_a_time_that_no_calendar_has_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"dates|not a time"):
        moment(text, NOW)


def test_a_time_to_come_is_read_as_how_far_ahead_or_as_written() -> None:
    assert ahead("in 10m", NOW) == (NOW + timedelta(minutes=10)).isoformat()
    assert ahead("2026-12-24T18:00:00+01:00") == "2026-12-24T18:00:00+01:00"
    for text in ("99999999d", "tomorrow", "9" * 500):
        with pytest.raises(ValueError, match=r"dates|not a time") as refusal:
            ahead(text, NOW)
        assert len(str(refusal.value)) < 200
