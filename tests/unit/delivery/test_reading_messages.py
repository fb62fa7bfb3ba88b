"""Step two: bytes and headers become an attempt, or a malformed notification that says why."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.attempts import NOW, body_of, message_of, read_in_its_lane

from tidings.delivery.attempt import UNSET, YEARS, Attempt, Lane, Message, read
from tidings.delivery.errors import MalformedNotification, Misrouted
from tidings_events import MAX_BODY_BYTES, EmailNotification
from tidings_events.routing import Headers

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ID = "0192f0c1-7b1a-7c3e-9d55-3f6f1a2b4c5d"


def problem(message: Message) -> str:
    """What is wrong with it, all in one."""
    with pytest.raises(MalformedNotification) as caught:
        read_in_its_lane(message)
    assert str(caught.value) == "; ".join(caught.value.problems)
    return str(caught.value)


def reading(message: Message) -> Attempt | MalformedNotification:
    """What comes of reading it."""
    try:
        return read_in_its_lane(message)
    except MalformedNotification as error:
        return error


def test_a_message_without_headers_is_a_first_attempt_seen_now() -> None:
    message = message_of(id=ID, key="email.high")
    attempt = read_in_its_lane(message, now=NOW)
    assert attempt.id == UUID(ID)
    assert isinstance(attempt.notification, EmailNotification)
    assert attempt.body == message.body
    assert attempt.lane == Lane("email", "high")
    assert (attempt.epoch, attempt.number, attempt.first_seen) == (0, 1, NOW)
    assert attempt.traceparent is None


def test_our_own_headers_say_which_attempt_it_is() -> None:
    attempt = read_in_its_lane(
        message_of(
            key="email.low.2m",
            headers={
                Headers.ATTEMPT: 4,
                Headers.EPOCH: 2,
                Headers.FIRST_SEEN: "2026-01-02T03:04:05.678+01:00",
                "x-death": [{"queue": "tidings.email.retry.2m", "count": 3}],
            },
        ),
        now=NOW,
    )
    assert (attempt.number, attempt.epoch) == (4, 2)
    assert attempt.first_seen == datetime(2026, 1, 2, 2, 4, 5, 678_000, tzinfo=UTC)
    assert attempt.lane == Lane("email", "low")


def test_without_a_clock_given_it_is_first_seen_by_our_own() -> None:
    before = datetime.now(UTC)
    assert before <= read_in_its_lane(message_of()).first_seen <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("waited", "believed"),
    [
        (timedelta(), True),
        (timedelta(minutes=5), True),
        (timedelta(days=7), True),
        (timedelta(days=7, seconds=1), False),
        (timedelta(seconds=-1), False),
        (timedelta(days=-3_000), False),
    ],
)
def test_what_its_producer_says_of_its_age_is_believed_within_reason(
    waited: timedelta, believed: bool
) -> None:
    attempt = read_in_its_lane(message_of(timestamp=NOW - waited), now=NOW)
    assert attempt.first_seen == (NOW - waited if believed else NOW)


def test_a_producer_s_time_without_an_offset_is_not_believed() -> None:
    assert (
        read_in_its_lane(message_of(timestamp=NOW.replace(tzinfo=None)), now=NOW).first_seen == NOW
    )


def test_our_own_header_is_believed_before_the_producer_s_time() -> None:
    seen = NOW - timedelta(hours=3)
    headers = {Headers.FIRST_SEEN: seen.isoformat()}
    message = message_of(headers=headers, timestamp=NOW - timedelta(hours=1))
    assert read_in_its_lane(message, now=NOW).first_seen == seen


FORGED: list[object] = [
    -1,
    10_001,
    2**63,
    "1",
    b"1",
    True,
    False,
    1.0,
    Decimal(1),
    [1],
    {"n": 1},
    None,
    NOW,
]


@pytest.mark.parametrize("value", [0, *FORGED])
def test_a_forged_attempt_is_refused_by_its_header_s_name(value: object) -> None:
    text = problem(message_of(headers={Headers.ATTEMPT: value}))
    assert text.startswith("header x-tidings-attempt: ")
    assert "from 1 to 10000" in text
    assert "leave them out" in text


@pytest.mark.parametrize("value", FORGED)
def test_a_forged_epoch_is_refused_by_its_header_s_name(value: object) -> None:
    text = problem(message_of(headers={Headers.EPOCH: value}))
    assert text.startswith("header x-tidings-epoch: ")
    assert "from 0 to 10000" in text


@pytest.mark.parametrize("count", [1, 10_000])
def test_the_lowest_and_the_highest_attempt_are_read(count: int) -> None:
    assert read_in_its_lane(message_of(headers={Headers.ATTEMPT: count})).number == count


@pytest.mark.parametrize(
    "value",
    [
        "yesterday",
        "",
        "2026-01-02T03:04:05",
        "2026-01-02",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "1969-12-31T23:59:59+00:00",
        b"2026-01-02T03:04:05+00:00",
        1_767_225_600,
        True,
        ["2026-01-02T03:04:05+00:00"],
        NOW,
    ],
)
def test_a_first_sight_that_is_no_time_with_an_offset_is_refused(value: object) -> None:
    text = problem(message_of(headers={Headers.FIRST_SEEN: value}))
    assert text.startswith("header x-tidings-first-seen: ")
    assert "with an offset" in text


def test_what_a_clock_that_nobody_has_set_wrote_into_our_header_is_read() -> None:
    """Else each retry of a worker whose clock begins in 1970 would be malformed."""
    seen = "1970-01-01T00:00:07.000+00:00"
    attempt = read_in_its_lane(message_of(headers={Headers.FIRST_SEEN: seen}))
    assert attempt.first_seen == datetime.fromisoformat(seen)


@pytest.mark.parametrize("name", ["scheduled_at", "expires_at"])
def test_how_far_ahead_a_time_is_tells_the_message_where_the_id_can_t(name: str) -> None:
    written = datetime.now(UTC) + timedelta(days=5 * 366)  # as good as our clock five years behind
    near, far = ((written + timedelta(days=days)).isoformat() for days in (300, 400))
    assert read_in_its_lane(message_of(timestamp=written, **{name: near}))
    text = problem(message_of(timestamp=written, **{name: far}))
    assert text.startswith(f"{name}: is more than a year ahead")


def test_where_nobody_tells_when_it_was_written_our_clock_refuses_nothing() -> None:
    far = (datetime.now(UTC) + timedelta(days=5 * 366)).isoformat()
    assert read_in_its_lane(message_of(scheduled_at=far))


def test_a_forged_value_is_quoted_shortened() -> None:
    assert len(problem(message_of(headers={Headers.ATTEMPT: "9" * 10_000}))) < 250


@pytest.mark.parametrize("value", [TRACE, TRACE.encode()])
def test_the_trace_is_carried_along(value: str | bytes) -> None:
    assert read_in_its_lane(message_of(headers={"traceparent": value})).traceparent == TRACE


@pytest.mark.parametrize("value", [17, None, "x" * 257, "a\nb", "a\x00b", b"\xff\x00", [TRACE], ""])
def test_a_trace_that_makes_no_sense_is_dropped_and_the_message_read(value: object) -> None:
    assert not read_in_its_lane(message_of(headers={"traceparent": value})).traceparent


@pytest.mark.parametrize("content_type", ["application/json", "", None, "text/plain"])
def test_a_body_that_is_right_is_read_whatever_its_content_type_says(
    content_type: str | None,
) -> None:
    assert read_in_its_lane(message_of(content_type=content_type)).lane.channel == "email"


def test_a_content_type_that_explains_an_unreadable_body_is_told_too() -> None:
    text = problem(message_of(b"<mail/>", content_type="application/xml"))
    assert "is not valid JSON" in text
    assert "content_type: 'application/xml'; publish application/json" in text


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json;charset=UTF-8",
        'Application/JSON; charset="utf-8"',
        "application/json; charset=utf8; profile=x",
        "application/json; profile=x",
    ],
)
def test_a_content_type_that_says_json_at_greater_length_explains_nothing(
    content_type: str,
) -> None:
    assert "content_type" not in problem(message_of(b"{", content_type=content_type))


def test_a_charset_that_is_not_utf_8_is_told_where_the_body_can_t_be_read() -> None:
    text = problem(message_of(b"\xe9", content_type="application/json;charset=ISO-8859-1"))
    assert "content_type: 'application/json;charset=ISO-8859-1'" in text


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate", "base64", "x" * 255])
def test_a_compressed_body_is_refused(encoding: str) -> None:
    text = problem(message_of(content_encoding=encoding))
    assert text.startswith("content_encoding: ")
    assert "publish plain JSON in UTF-8, not compressed" in text
    assert "leave content_encoding out" in text
    assert len(text) < 200


@pytest.mark.parametrize(
    ("compress", "name"),
    [
        (gzip.compress, "gzip"),
        (zlib.compress, "zlib"),
        (bz2.compress, "bzip2"),
        (lzma.compress, "xz"),
    ],
)
def test_a_compressed_body_that_does_not_say_so_is_told_to_be_compressed(
    compress: Callable[[bytes], bytes], name: str
) -> None:
    text = problem(message_of(compress(body_of())))
    assert f"is compressed ({name}); publish plain JSON in UTF-8" in text


@pytest.mark.parametrize(
    "encoding", [None, "", "identity", "utf-8", "UTF-8", "utf8", "Utf-8", "UTF8"]
)
def test_an_encoding_that_changes_nothing_is_read(encoding: str | None) -> None:
    assert read_in_its_lane(message_of(content_encoding=encoding)).number == 1


def test_a_channel_that_is_not_the_routing_key_s_is_refused() -> None:
    text = problem(message_of(key="sms.high"))
    assert "the body says 'email' and the routing key 'sms.high' says 'sms'" in text
    assert "publish it with the key email.normal" in text


def test_the_lane_is_the_queue_s_whatever_the_routing_key_and_the_body_say() -> None:
    moved = message_of(key="tidings.email.low", priority="high")
    assert read(moved, Lane("email", "low")).lane == Lane("email", "low")
    assert read(message_of(key="email.high"), Lane("email", "low")).lane.priority == "low"


def test_without_a_priority_in_the_body_the_routing_key_s_holds() -> None:
    assert read_in_its_lane(message_of(key="email.urgent")).lane.priority == "urgent"


def test_a_copy_in_another_channel_s_lane_is_refused_with_the_header_that_led_it_there() -> None:
    copy = message_of(key="email.normal", headers={"CC": ["webhook.normal"]})
    with pytest.raises(Misrouted) as caught:
        read(copy, Lane("webhook", "normal"))
    assert caught.value.channel == "email"
    text = str(caught.value)
    assert "the body says 'email', and this copy came out of tidings.webhook.normal" in text
    assert "CC: ['webhook.normal']" in text


def test_what_was_moved_to_another_channel_s_lane_is_refused_with_both_names() -> None:
    for key in ("tidings.webhook.normal", "email.normal"):  # moved, and a copy by BCC
        with pytest.raises(Misrouted, match=r"it came out of tidings\.webhook\.normal"):
            read(message_of(key=key), Lane("webhook", "normal"))


@pytest.mark.parametrize("name", ["scheduled_at", "expires_at"])
@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "1999-12-31T23:59:59Z"])
def test_a_time_that_the_ledger_may_not_hold_is_refused_by_its_field(
    name: str, moment: str
) -> None:
    assert problem(message_of(**{name: moment})).startswith(f"{name}: ")


def test_what_was_due_or_expired_while_it_waited_is_read() -> None:
    attempt = read_in_its_lane(
        message_of(scheduled_at="2026-01-01T00:00:00Z", expires_at="2026-01-01T00:00:01Z")
    )
    assert attempt.notification.expires_at == datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"{}",
        b"\xff\xfe{\x00}\x00",
        b'{"channel": "email"}',
        b'{"channel": "pigeon"}',
        b"\x00" * 100,
        b"[" * 100_000,
        body_of(unknown_field=1),
        body_of(id="not-a-uuid"),
        body_of(id=None),
        body_of(recipient="nobody"),
    ],
)
def test_a_body_that_is_no_notification_is_malformed(body: bytes) -> None:
    assert problem(message_of(body))


def test_a_body_larger_than_any_notification_is_refused_by_its_size() -> None:
    text = problem(message_of(b"x" * (MAX_BODY_BYTES + 1)))
    assert "at most 10,485,760 are allowed" in text


def test_eleven_mebibytes_of_valid_json_are_refused_by_their_size() -> None:
    assert "are allowed" in problem(message_of(body_of(html="x" * (11 * 1024 * 1024))))


# Anything at all in the headers and the body.

words = st.text(max_size=40)
values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        words,
        st.binary(max_size=40),
        st.decimals(allow_nan=True),
        st.datetimes(timezones=st.just(UTC)),
        st.datetimes(timezones=st.just(timezone(timedelta(hours=14)))),
        st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=6,
)
ours = st.sampled_from([Headers.ATTEMPT, Headers.EPOCH, Headers.FIRST_SEEN, "traceparent"])
headers = st.dictionaries(ours | words, values, max_size=6)


@given(body=st.binary(max_size=300), headers=headers, key=words)
def test_no_bytes_raise_anything_but_a_malformed_notification(
    body: bytes, headers: Mapping[str, object], key: str
) -> None:
    with pytest.raises(MalformedNotification):
        read_in_its_lane(message_of(body, headers=headers, key=key))


@given(headers=headers)
@example(headers={"x-tidings-first-seen": "1970-01-01T00:00:00+05:00"})
def test_no_headers_raise_anything_but_a_malformed_notification(
    headers: Mapping[str, object],
) -> None:
    found = reading(message_of(id=ID, headers=headers))
    if isinstance(found, Attempt):
        assert 1 <= found.number <= 10_000
        assert 0 <= found.epoch <= 10_000
        # A day on either side of the years that are taken, by the offset.
        assert UNSET - 1 <= found.first_seen.astimezone(UTC).year <= YEARS.stop
    else:
        assert all(problem.startswith("header x-tidings-") for problem in found.problems)


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
fields = st.sampled_from([*EmailNotification.model_fields, "nonsense"])


@given(st.dictionaries(fields, json_values, max_size=5))
def test_no_field_raises_anything_but_a_malformed_notification(fields: dict[str, object]) -> None:
    found = reading(message_of(body_of(**fields)))
    assert isinstance(found, Attempt) or found.problems
