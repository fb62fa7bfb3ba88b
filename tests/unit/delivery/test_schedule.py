"""What becomes of the times that have come: on time, late, skipped; the end; ids."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.delivery.schedule import GRACE, Misfire, RunDecision, Timing, decide, run_id
from tidings_events.moments import made_at

DAILY = Timing("0 9 * * *", "Europe/Berlin")
NINE = datetime(2026, 3, 2, 8, tzinfo=UTC)
DAY = timedelta(days=1)
ONCE, SKIP = Misfire.SEND_ONCE, Misfire.SKIP


@pytest.mark.parametrize("misfire", Misfire)
def test_a_run_on_time_is_sent_and_the_next_is_tomorrow(misfire: Misfire) -> None:
    for late in (timedelta(), timedelta(seconds=59)):
        decision = decide(DAILY, misfire, NINE, 0, NINE + late)
        assert decision == RunDecision(NINE, False, 0, NINE + DAY)


def test_of_missed_runs_one_is_sent_late_or_none() -> None:
    now = NINE + 3 * DAY + timedelta(hours=2)
    assert decide(DAILY, ONCE, NINE, 0, now) == RunDecision(NINE + 3 * DAY, True, 3, NINE + 4 * DAY)
    assert decide(DAILY, SKIP, NINE, 0, now) == RunDecision(None, False, 4, NINE + 4 * DAY)


@pytest.mark.parametrize("misfire", Misfire)
def test_missed_runs_are_not_sent_beside_one_that_is_on_time(misfire: Misfire) -> None:
    now = NINE + 2 * DAY + timedelta(seconds=5)
    assert decide(DAILY, misfire, NINE, 0, now) == RunDecision(
        NINE + 2 * DAY, False, 2, NINE + 3 * DAY
    )


def test_it_ends_after_its_runs_and_skipped_ones_do_not_count() -> None:
    twice = Timing("0 9 * * *", "Europe/Berlin", max_runs=2)
    assert decide(twice, SKIP, NINE, 0, NINE).next_run_at == NINE + DAY
    assert decide(twice, SKIP, NINE, 1, NINE) == RunDecision(NINE, False, 0, None)
    missed = decide(twice, SKIP, NINE, 1, NINE + timedelta(hours=1))
    assert missed == RunDecision(None, False, 1, NINE + DAY)


def test_it_ends_at_its_end_and_its_last_run_may_be_late() -> None:
    until = Timing("0 9 * * *", "Europe/Berlin", ends_at=NINE + DAY)
    assert decide(until, ONCE, NINE, 0, NINE).next_run_at == NINE + DAY
    assert decide(until, ONCE, NINE + DAY, 1, NINE + DAY) == RunDecision(NINE + DAY, False, 0, None)
    assert decide(until, ONCE, NINE, 0, NINE + 9 * DAY) == RunDecision(NINE + DAY, True, 1, None)
    assert decide(until, SKIP, NINE, 0, NINE + 9 * DAY) == RunDecision(None, False, 2, None)


def test_nothing_is_due_before_it_starts_and_its_start_may_be_a_time() -> None:
    starts = Timing("0 9 * * *", "Europe/Berlin", starts_at=NINE + 5 * DAY)
    assert next(starts.after(NINE)) == NINE + 5 * DAY
    assert starts.next_times(NINE, 0, 2) == [NINE + 5 * DAY, NINE + 6 * DAY]


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("* * * * *", ["2026-03-02T07:58", "2026-03-02T07:59", "2026-03-02T08:00"]),
        ("0 9 * * *", ["2026-02-28T08:00", "2026-03-01T08:00", "2026-03-02T08:00"]),
        ("0 0 1 * *", ["2025-12-31T23:00", "2026-01-31T23:00", "2026-02-28T23:00"]),
        ("0 0 29 2 *", []),
    ],
)
def test_the_last_times_are_found_however_rare_they_are(cron: str, expected: list[str]) -> None:
    timing = Timing(cron, "Europe/Berlin")
    found = timing.latest(NINE, NINE - 600 * DAY, 3)
    assert [due.isoformat()[:16] for due in found] == expected


def test_no_last_time_is_before_its_beginning() -> None:
    assert DAILY.latest(NINE, NINE - DAY, 3) == [NINE]
    starting = Timing("0 9 * * *", "Europe/Berlin", starts_at=NINE + DAY)
    assert starting.latest(NINE, NINE - 9 * DAY, 3) == []


def test_a_week_without_a_scheduler_at_every_minute_is_one_run() -> None:
    minutely = Timing("* * * * *", "UTC")
    decision = decide(minutely, ONCE, NINE, 0, NINE + 7 * DAY + timedelta(seconds=30))
    assert decision.due is not None
    assert decision.skipped >= 4_999
    assert decision.next_run_at == NINE + 7 * DAY + timedelta(minutes=1)


def test_a_clock_that_jumps_back_finds_nothing_due_twice() -> None:
    first = decide(DAILY, ONCE, NINE, 0, NINE)
    assert first.next_run_at is not None
    assert first.next_run_at > NINE
    ahead = decide(DAILY, ONCE, first.next_run_at, 1, NINE + 400 * DAY)
    assert (ahead.late, ahead.due) == (True, NINE.replace(year=2027, month=4, day=6, hour=7))


@given(
    st.sampled_from(["* * * * *", "*/7 * * * *", "30 2 * * *", "0 9 * * MON-FRI"]),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    st.sampled_from(Misfire),
    st.lists(st.integers(0, 200_000), min_size=1, max_size=8),
)
def test_however_late_the_scheduler_comes_time_goes_on_and_no_run_is_sent_twice(
    cron: str, zone: str, misfire: Misfire, sleeps: list[int]
) -> None:
    timing = Timing(cron, zone)
    now = datetime(2026, 3, 27, tzinfo=UTC)
    next_run_at = next(timing.after(now))
    sent: list[datetime] = []
    for seconds in sleeps:
        now += timedelta(seconds=seconds)
        while next_run_at <= now:
            decision = decide(timing, misfire, next_run_at, len(sent), now)
            assert decision.next_run_at is not None
            assert decision.next_run_at > next_run_at
            if decision.due is not None:
                assert decision.late == (now - decision.due > GRACE)
                sent.append(decision.due)
            next_run_at = decision.next_run_at
    assert sent == sorted(set(sent))


def test_ids_are_the_same_for_whoever_computes_them_and_tell_their_time() -> None:
    schedule, run = uuid4(), NINE.isoformat()
    ids = {run_id(schedule, run, NINE, index) for index in range(1000)}
    assert ids == {run_id(schedule, run, NINE, index) for index in range(1000)}
    assert len(ids) == 1000
    assert {made_at(id_) for id_ in ids} == {NINE}
    assert not ids & {run_id(uuid4(), run, NINE, index) for index in range(1000)}
