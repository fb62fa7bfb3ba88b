"""Since when a notification waits, where clocks are wrong, local, or silent."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from tests.support.attempts import body_of, message_of

from tidings.delivery.arrival import Arrival, TimeSource, arrival
from tidings.delivery.attempt import Lane, read
from tidings.delivery.search_fields import read_search_fields
from tidings_events.moments import made_at

NOW = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
RANDOM = uuid4()
PRODUCER, ID, READ = TimeSource


def ago(**units: float) -> datetime:
    return NOW - timedelta(**units)


def minted(moment: datetime) -> UUID:
    """A UUIDv7 of that time."""
    milliseconds = int(moment.timestamp() * 1000)
    return UUID(int=milliseconds << 80 | 7 << 76 | 0b10 << 62 | 0x1234)


def test_the_producer_is_believed_where_it_may_be_right() -> None:
    assert arrival(ago(minutes=3), RANDOM, NOW) == Arrival(ago(minutes=3), PRODUCER)


def test_a_clock_a_little_ahead_is_one_that_says_now() -> None:
    assert arrival(ago(seconds=-3), RANDOM, NOW) == Arrival(NOW, PRODUCER)


@pytest.mark.parametrize("published_at", [ago(minutes=-4), ago(hours=-2), ago(days=8), None])
def test_where_it_can_t_be_right_the_id_is_asked_and_then_nobody(
    published_at: datetime | None,
) -> None:
    assert arrival(published_at, minted(ago(seconds=2)), NOW) == Arrival(ago(seconds=2), ID)
    assert arrival(published_at, RANDOM, NOW) == Arrival(NOW, READ)
    assert arrival(published_at, minted(ago(days=9)), NOW) == Arrival(NOW, READ)
    assert arrival(published_at, minted(ago(minutes=-9)), NOW) == Arrival(NOW, READ)


@pytest.mark.parametrize("hours", [5, 8, -5.5, 14, 0.5])
def test_local_time_that_is_taken_for_utc_is_told_by_the_id(hours: float) -> None:
    """West of Greenwich it lies in the past; east of it in the future, or after a long wait before now."""
    made = ago(hours=15)
    local = made - timedelta(hours=hours)
    assert arrival(local.replace(microsecond=0), minted(made), NOW) == Arrival(made, ID)


def test_a_notification_is_published_after_its_id_was_made_however_long_after() -> None:
    """An outbox: made with the order, published once the transaction is through."""
    published_at = ago(minutes=3)
    assert arrival(published_at, minted(ago(minutes=17)), NOW) == Arrival(published_at, PRODUCER)
    assert arrival(ago(minutes=30), minted(ago(minutes=3)), NOW).source is ID


@pytest.mark.parametrize("wrong", [{"minutes": 6}, {"hours": 5}])
def test_what_came_into_an_empty_lane_came_just_now_whatever_its_clock_says(
    wrong: dict[str, float],
) -> None:
    published_at = ago(**wrong)
    assert arrival(published_at, minted(published_at), NOW, not_before=ago(seconds=1)) == Arrival(
        NOW, READ
    )
    assert arrival(published_at, RANDOM, NOW) == Arrival(
        published_at, PRODUCER
    )  # in a backlog it may be true


def test_what_waited_in_a_backlog_is_as_old_as_it_says() -> None:
    published_at = ago(minutes=11)
    assert arrival(published_at, RANDOM, NOW, not_before=ago(minutes=20)) == Arrival(
        published_at, PRODUCER
    )
    assert arrival(None, minted(published_at), NOW, not_before=ago(minutes=20)) == Arrival(
        published_at, ID
    )


def test_whole_seconds_are_made_exact_by_the_id_of_that_second() -> None:
    made = ago(minutes=1)
    assert arrival(made.replace(microsecond=0), minted(made), NOW) == Arrival(made, PRODUCER)


def test_whole_seconds_are_made_exact_by_the_lane_that_was_empty_in_that_second() -> None:
    """NOW is a quarter past the second: a wait of 250 ms is no more than what the timestamp lacks."""
    published_at = NOW.replace(microsecond=0)
    assert arrival(published_at, RANDOM, NOW, not_before=NOW) == Arrival(NOW, PRODUCER)
    assert arrival(published_at, RANDOM, NOW, not_before=ago(seconds=0.1)).at == ago(seconds=0.1)
    assert arrival(published_at, minted(ago(minutes=3)), NOW, not_before=NOW).at == NOW
    earlier = published_at - timedelta(seconds=2)
    assert arrival(earlier, RANDOM, NOW, not_before=NOW).at == earlier + timedelta(seconds=1)


def test_what_is_said_to_the_millisecond_is_believed_though_its_lane_was_empty_only_later() -> None:
    published_at = ago(seconds=0.2)
    assert arrival(published_at, RANDOM, NOW, not_before=NOW) == Arrival(published_at, PRODUCER)


def test_whole_seconds_stay_so_in_a_backlog() -> None:
    published_at = NOW.replace(microsecond=0)
    assert arrival(published_at, RANDOM, NOW) == Arrival(published_at, PRODUCER)
    assert arrival(published_at, RANDOM, NOW, not_before=ago(seconds=5)) == Arrival(
        published_at, PRODUCER
    )


def test_only_a_uuid_of_version_7_has_a_time() -> None:
    assert made_at(minted(NOW)) == NOW
    assert made_at(RANDOM) is None
    assert made_at(UUID(int=(1 << 128) - 1)) is None
    assert made_at(UUID(int=((1 << 48) - 1) << 80 | 7 << 76 | 0b10 << 62)) is None


def test_milliseconds_in_a_header_are_preferred_to_seconds() -> None:
    headers = {"timestamp_in_ms": int(ago(seconds=1).timestamp() * 1000)}
    message = message_of(headers=headers, timestamp=ago(seconds=2))
    attempt = read(message, Lane("email", "normal"), now=NOW)
    assert (attempt.first_seen, attempt.time_source) == (ago(seconds=1), PRODUCER)


@pytest.mark.parametrize("odd", [True, "1", -5, 10**18, None])
def test_an_odd_header_of_milliseconds_is_passed_over(odd: object) -> None:
    message = message_of(headers={"timestamp_in_ms": odd}, timestamp=ago(seconds=2))
    assert read(message, Lane("email", "normal"), now=NOW).first_seen == ago(seconds=2)


def test_what_was_decided_first_is_carried_along() -> None:
    headers = {
        "x-tidings-first-seen": ago(hours=1).isoformat(),
        "x-tidings-time-source": "read",
    }
    message = message_of(headers=headers, timestamp=ago(seconds=2))
    attempt = read(message, Lane("email", "normal"), now=NOW, not_before=NOW)
    assert (attempt.first_seen, attempt.time_source) == (ago(hours=1), READ)


def test_the_id_is_found_in_what_nobody_has_read() -> None:
    assert read_search_fields(body_of(id=str(RANDOM))).id == RANDOM
    for odd in (b"", b"[]", b"{}", b'{"id": 7}', b"\xff", b"[" * 100_000):
        assert read_search_fields(odd).id is None
