"""A period is read from rollups that are few, still kept, and cover all of it; percentiles come from their buckets."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import ceil, log2

import pytest

from tidings.ledger.operators.rates import percentile
from tidings.ledger.operators.rollups import Window

NOW = datetime(2026, 11, 29, 17, 34, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("length", "width"),
    [
        (timedelta(minutes=5), 60),
        (timedelta(hours=1), 60),
        (timedelta(hours=24), 900),
        (timedelta(days=7), 3_600),
        (timedelta(days=30), 14_400),
        (timedelta(days=300), 86_400),
    ],
    ids=str,
)
def test_a_longer_period_is_read_from_wider_rollups(length: timedelta, width: int) -> None:
    window = Window.around(NOW - length, None, NOW)
    assert window.width == width
    assert window.since <= NOW - length < window.since + timedelta(seconds=width)
    assert NOW <= window.until < NOW + timedelta(seconds=width)
    assert (window.until - window.since) % timedelta(seconds=width) == timedelta(0)


def test_an_hour_of_last_month_is_read_from_rollups_that_are_still_kept() -> None:
    since = NOW - timedelta(days=20)
    assert Window.around(since, since + timedelta(hours=1), NOW).width == 3_600


def test_a_period_that_reaches_into_the_far_future_has_few_buckets() -> None:
    window = Window.around(NOW - timedelta(hours=1), NOW + timedelta(days=40_000), NOW)
    assert (window.until - window.since).days <= 2


@pytest.mark.parametrize("hours", [1, 6, 24, 24 * 7, 24 * 30, 24 * 300], ids=str)
def test_the_parts_of_a_period_are_all_of_it_once_in_few_rollups(hours: int) -> None:
    window = Window.around(NOW - timedelta(hours=hours), None, NOW)
    parts = sorted(window.parts(), key=lambda part: part[1])
    assert (parts[0][1], parts[-1][2]) == (window.since, window.until)
    assert all(before[2] == after[1] for before, after in pairwise(parts))
    for width, since, until in parts:
        assert since.timestamp() % width == until.timestamp() % width == 0
    rollups = sum((until - since) // timedelta(seconds=width) for width, since, until in parts)
    assert rollups <= min(50, hours * 60) or window.width == 86_400


def test_a_period_without_a_moment_has_no_parts() -> None:
    assert Window(NOW, NOW, 60).parts() == []


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_a_percentile_is_wrong_by_no_more_than_its_bucket_is_wide(share: float) -> None:
    values = [0.003 * 1.01**n for n in range(1_000)]
    times = Counter(ceil(2 * log2(value * 1000)) for value in values)
    assert percentile(times, share) == pytest.approx(values[int(share * 1_000)], rel=0.42)


def test_no_times_have_no_percentile() -> None:
    assert percentile({}, 0.5) is None
