"""Local times become instants: gaps, folds, and every zone there is."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.delivery.errors import InvalidRequest
from tidings.delivery.local_time import Adjustment, in_zone, zone_named, zone_names

ZONES = st.sampled_from(sorted(zone_names()))
LOCAL_TIMES = st.datetimes(
    datetime.fromisoformat("1975-01-01"), datetime.fromisoformat("2100-01-01")
)


@pytest.mark.parametrize(
    ("local", "zone", "instant", "adjustment"),
    [
        ("2026-01-31T09:00", "Europe/Berlin", "2026-01-31T08:00Z", None),
        ("2026-03-29T01:59:59", "Europe/Berlin", "2026-03-29T00:59:59Z", None),
        ("2026-03-29T02:00", "Europe/Berlin", "2026-03-29T01:00Z", Adjustment.GAP),
        ("2026-03-29T02:30", "Europe/Berlin", "2026-03-29T01:30Z", Adjustment.GAP),
        ("2026-03-29T03:00", "Europe/Berlin", "2026-03-29T01:00Z", None),
        ("2026-10-25T01:59", "Europe/Berlin", "2026-10-24T23:59Z", None),
        ("2026-10-25T02:30", "Europe/Berlin", "2026-10-25T00:30Z", Adjustment.FOLD),
        ("2026-10-25T03:00", "Europe/Berlin", "2026-10-25T02:00Z", None),
        ("2026-10-04T02:15", "Australia/Lord_Howe", "2026-10-03T15:45Z", Adjustment.GAP),
        ("2011-12-30T12:00", "Pacific/Apia", "2011-12-30T22:00Z", Adjustment.GAP),
        ("2027-12-31T23:59", "Pacific/Kiritimati", "2027-12-31T09:59Z", None),
        ("2028-02-29T00:00", "Asia/Kolkata", "2028-02-28T18:30Z", None),
    ],
)
def test_a_local_time_stands_for_one_instant(
    local: str, zone: str, instant: str, adjustment: Adjustment | None
) -> None:
    found = in_zone(datetime.fromisoformat(local), zone)
    assert found.at.astimezone(UTC) == datetime.fromisoformat(instant)
    assert (found.zone, found.adjustment) == (zone, adjustment)


def test_a_time_in_a_gap_is_moved_on_by_its_length() -> None:
    found = in_zone(datetime.fromisoformat("2026-03-29T02:30"), "Europe/Berlin")
    assert found.at.isoformat() == "2026-03-29T03:30:00+02:00"


@given(LOCAL_TIMES, ZONES)
def test_what_is_not_adjusted_reads_back_as_it_was_written(local: datetime, zone: str) -> None:
    found = in_zone(local, zone)
    read = found.at.replace(tzinfo=None, fold=0)
    assert (read == local) == (found.adjustment is not Adjustment.GAP)
    assert found.at.utcoffset() == found.at.astimezone(UTC).astimezone(zone_named(zone)).utcoffset()


@given(LOCAL_TIMES, ZONES)
def test_a_gap_only_moves_forward_by_a_day_at_most_and_a_fold_takes_the_first(
    local: datetime, zone: str
) -> None:
    found = in_zone(local, zone)
    match found.adjustment:
        case Adjustment.GAP:
            assert timedelta() < found.at.replace(tzinfo=None) - local <= timedelta(days=1)
        case Adjustment.FOLD:
            second = local.replace(tzinfo=zone_named(zone), fold=1).astimezone(UTC)
            assert found.at.astimezone(UTC) < second
        case None:
            pass


@given(LOCAL_TIMES, ZONES)
def test_an_instant_survives_the_way_there_and_back(moment: datetime, zone: str) -> None:
    instant = moment.replace(tzinfo=UTC)
    there = instant.astimezone(zone_named(zone))
    back = in_zone(there.replace(tzinfo=None, fold=0), zone)
    assert back.adjustment is not Adjustment.GAP
    assert back.at.astimezone(UTC) == instant or back.adjustment is Adjustment.FOLD


@pytest.mark.parametrize("name", ["Berlin", "europe/berlin", "CEST", "", "../etc/passwd", "/UTC"])
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match="is not a time zone") as refusal:
        zone_named(name)
    assert refusal.value.field == "timezone"
    assert ("did you mean 'Europe/Berlin'" in str(refusal.value)) == ("berlin" in name.lower())


def test_the_end_of_the_calendar_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="outside of the calendar"):
        in_zone(datetime.fromisoformat("9999-12-31T23:00"), "America/Los_Angeles")


def test_every_zone_can_be_loaded() -> None:
    for name in zone_names():
        assert zone_named(name).key == name
