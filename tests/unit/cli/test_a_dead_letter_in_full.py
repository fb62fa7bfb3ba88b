"""`tidings dead show` and `dead list` say where a dead letter came from, and everything once."""

import gzip
import json
import re
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from tests.support.attempts import body_of

from tidings.cli.dead_letter_options import OPEN, WhichState, states_of
from tidings.cli.dead_letter_views import dead_letter_details, dead_letters_table
from tidings.cli.terminal import SafeConsole
from tidings.delivery.dead_letter import DeadLetterState
from tidings.ledger.dead_letters.rows import StoredDeadLetter
from tidings.operations.dead_letters.lookup import in_full
from tidings.operations.dead_letters.views import DeadLetterView
from tidings_events.routing import Headers

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SINCE = NOW - timedelta(minutes=3)
ID = UUID("1600b796-ea13-5b3a-aeb8-28fe46668aa3")
SAID = 'recipient: "jane@example.com" has no mailbox'


def dead_letter(headers: dict[str, Any] | None = None, **fields: Any) -> StoredDeadLetter:
    row = dict.fromkeys(StoredDeadLetter.__slots__)
    del row["failure"]
    usual = {
        "id": ID,
        "epoch": 0,
        "state": "discarded",
        "reason": "rejected",
        "kind": "rejected",
        "code": "550",
        "message": SAID,
        "provider": "smtp:relay",
        "fingerprint": "3e6c7556e063",
        "channel": "sms",
        "priority": "normal",
        "first_failed_at": SINCE - timedelta(milliseconds=5),
        "last_failed_at": SINCE - timedelta(milliseconds=5),
        "dead_lettered_at": SINCE,
        "attempts": 1,
        "exchange": "tidings.dead",
        "routing_key": "sms.normal",
        "properties": "{}",
        "size": 2,
    }
    found = StoredDeadLetter.of({**row, **usual, "headers": "{}", **fields})
    object.__setattr__(found, "headers", headers or {})
    return found


def shown(
    stored: StoredDeadLetter, body: bytes = b"{}", *, reveal: bool = False, width: int = 200
) -> str:
    return _printed(dead_letter_details(in_full(stored, body, (), NOW, reveal=reveal), NOW), width)


def _printed(what: Any, width: int = 200) -> str:
    paper = StringIO()
    console = SafeConsole(file=paper)
    console.width = width
    console.print(what)
    return paper.getvalue()


OURS: dict[str, Any] = {
    Headers.REASON: "rejected",
    Headers.ERROR_CLASS: "rejected",
    Headers.ERROR_CODE: "550",
    Headers.ERROR_MESSAGE: SAID,
    Headers.PROVIDER: "smtp:relay",
    Headers.WORKER: "worker desk:7:abc",
    Headers.EPOCH: 0,
    Headers.ATTEMPT: 1,
    Headers.DEAD_LETTER: str(ID),
    Headers.FIRST_SEEN: SINCE.isoformat(),
}


@pytest.mark.parametrize("reveal", [False, True])
def test_headers_of_ours_that_repeat_what_stands_above_are_not_printed(reveal: bool) -> None:
    text = shown(dead_letter(OURS), reveal=reveal)
    assert "x-tidings-" not in text
    assert "Headers" not in text
    assert "worker desk:7:abc" in text
    assert DeadLetterView.of(dead_letter(OURS), reveal=True).as_data()["headers"] == OURS


def test_headers_that_say_something_else_stay() -> None:
    other = {
        Headers.ERROR_CODE: "551",
        Headers.ATTEMPT: 4,
        Headers.FIRST_SEEN: "2026-11-20T12:00:00+00:00",
        "x-shop": "7",
    }
    text = shown(dead_letter({**OURS, **other}))
    assert text.count("x-tidings-") == 3
    assert all(name in text for name in other)


@pytest.mark.parametrize("seen", ["", 7, "yesterday", "2026-11-22T11:57:00"])
def test_a_forged_time_of_the_first_read_is_printed_as_it_is(seen: object) -> None:
    assert Headers.FIRST_SEEN in shown(dead_letter({Headers.FIRST_SEEN: seen}))


def test_headers_of_ours_give_nobody_away() -> None:
    quoting = {Headers.ERROR_MESSAGE: f"again: {SAID}"}
    assert "jane@" not in shown(dead_letter(quoting))
    assert "jane@" not in str(DeadLetterView.of(dead_letter(quoting), reveal=False).as_data())
    assert "jane@" in shown(dead_letter(quoting), reveal=True)


def test_headers_a_producer_did_not_give_are_not_counted() -> None:
    assert "original-headers" not in shown(dead_letter({Headers.ORIGINAL_HEADERS: {}}))
    text = shown(dead_letter({Headers.ORIGINAL_HEADERS: {"x-shop": "7", "timestamp_in_ms": 7_000}}))
    assert '"x-shop": "… 1 character"' in text
    assert '"timestamp_in_ms": 7000' in text


def test_one_character_is_one() -> None:
    text = shown(dead_letter(), b'{"subject": "x", "body": "xy"}')
    assert '"… 1 character"' in text
    assert '"… 2 characters"' in text


PAST, AHEAD = (NOW - timedelta(hours=1)).isoformat(), (NOW + timedelta(hours=1)).isoformat()
EXPIRED: dict[str, Any] = {"reason": "expired", "kind": "expired"}


@pytest.mark.parametrize(
    ("fields", "body", "mended", "again"),
    [
        ({}, body_of(), "", True),
        ({"reason": "malformed"}, b"{}", "", False),
        ({"reason": "unroutable"}, b"{}", "", False),
        ({"reason": "unroutable"}, body_of(), "", True),
        ({}, body_of(expires_at=PAST), "--set expires_at=… ", False),
        (EXPIRED, body_of(), "--set expires_at=… ", False),
        (EXPIRED, body_of(expires_at=AHEAD), "", True),
        ({**EXPIRED, "supersedes": ID}, body_of(), "", True),
        ({**EXPIRED, "kind": "broker_expired"}, body_of(), "", True),
        ({"code": "TemplateNotFound"}, body_of(), "--set template=… ", True),
    ],
)
def test_only_what_can_work_for_this_dead_letter_is_offered(
    fields: dict[str, Any], body: bytes, mended: str, again: bool
) -> None:
    text = shown(dead_letter(state="open", **fields), body)
    assert f"tidings dead edit {ID} {mended}--replay" in text
    assert f"tidings dead discard {ID}" in text
    assert (f"tidings replay {ID}" in text) is again


def test_what_expired_before_it_was_tried_had_no_attempt() -> None:
    assert re.search(r"Attempts +0\n", shown(dead_letter(**EXPIRED)))
    assert DeadLetterView.of(dead_letter(**EXPIRED), reveal=False).as_data()["attempt_count"] == 0
    assert re.search(r"Attempts +1\n", shown(dead_letter(reason="expired", kind="unavailable")))


def test_why_it_can_t_be_read_is_broken_at_its_words() -> None:
    text = shown(dead_letter(), b'{"channel": "dead letter by a horse", "id": 7}', width=50)
    problems = text[text.index("Invalid:") : text.index("Body")].splitlines()[1:]
    wrapped = [line for line in problems if line.strip()]
    assert len(wrapped) > 1
    assert all(line.startswith(("  · ", "    ")) and len(line) <= 50 for line in wrapped)


def test_a_moment_is_told_once() -> None:
    text = shown(dead_letter())
    assert text.count("11:57") == 1
    assert "Since" in text
    assert "failed " not in text


def test_when_it_was_published_is_told_as_the_other_times_are() -> None:
    timestamp = (SINCE - timedelta(milliseconds=1_500)).isoformat()
    properties = json.dumps({"app_id": "shop", "type": "welcome", "timestamp": timestamp})
    text = shown(dead_letter(properties=properties))
    assert re.search(r"Published +\S+ 11:56:58\.500 \+00:00 \(3m 2s ago\)\n", text), text
    assert re.search(r"Properties +type welcome\n", text), text


def test_the_header_of_the_publishing_time_is_told_once() -> None:
    at = SINCE - timedelta(milliseconds=1_500)
    in_ms = {"timestamp_in_ms": int(at.timestamp() * 1000)}
    properties = json.dumps({"timestamp": at.isoformat()})
    for headers in (in_ms, {Headers.ORIGINAL_HEADERS: in_ms}):
        text = shown(dead_letter(headers, properties=properties))
        assert "Headers" not in text
        assert "Published" in text
    other = {"timestamp_in_ms": 7, "x-shop": "7"}
    assert "timestamp_in_ms" in shown(dead_letter(other, properties=properties))


def test_a_time_of_publishing_that_is_none_stays_as_it_was_written() -> None:
    text = shown(dead_letter(properties=json.dumps({"timestamp": "yesterday"})))
    assert re.search(r"Properties +timestamp yesterday\n", text), text


@pytest.mark.parametrize(
    ("body", "way"),
    [
        (
            gzip.compress(body_of()),
            f"Unpack:    tidings dead show {ID} --raw | gunzip | tidings dead edit {ID} --file - --replay\n",
        ),
        (b"\x00\x01", f"Edit:      tidings dead edit {ID} --file FILE --replay\n"),
        (b'{"body": "caf\xe9"}', f"Edit:      tidings dead edit {ID} --replay\n"),
    ],
)
def test_what_is_no_text_is_not_offered_to_an_editor(body: bytes, way: str) -> None:
    assert way in shown(dead_letter(state="open", reason="malformed"), body)


def test_moments_that_differ_are_all_told() -> None:
    first, last = SINCE - timedelta(hours=2), SINCE - timedelta(hours=1)
    three = shown(dead_letter(first_failed_at=first, last_failed_at=last))
    assert [label for label in ("First failed", "Last failed", "Since") if label in three] == [
        "First failed",
        "Last failed",
        "Since",
    ]
    two = shown(dead_letter(first_failed_at=first, last_failed_at=SINCE))
    assert "Last failed" not in two


@pytest.mark.parametrize(
    ("headers", "key", "source"),
    [
        ({}, "sms.normal", "sms.normal"),
        ({}, "sms.high", "sms.high"),
        ({}, "tidings.sms.high", "sms.high"),
        ({Headers.QUEUE: "tidings.email.high"}, "email.high", "email.high"),
        (
            {"x-death": [{"queue": "tidings.email.low", "reason": "expired"}]},
            "sms.normal",
            "email.low",
        ),
        ({"x-death": [{"queue": "elsewhere", "reason": "rejected"}]}, "sms.normal", "elsewhere"),
        (
            {"x-death": [{"queue": "tidings.sms.retry.60", "reason": "expired"}]},
            "sms.low",
            "sms.low",
        ),
        ({}, "shop.orders", "shop.orders"),
        ({}, "", "?"),
    ],
)
def test_a_dead_letter_says_by_which_queue_or_key_it_came(
    headers: dict[str, Any], key: str, source: str
) -> None:
    """Its body may name another channel, or another priority."""
    stored = dead_letter(headers, routing_key=key)
    listed = _printed(dead_letters_table([DeadLetterView.of(stored, reveal=False)], NOW))
    head, row = listed.splitlines()
    assert "Channel" not in head
    assert row[head.index("Source") :].split()[0] == source
    text = shown(stored)
    assert re.search(rf"^Source +{re.escape(source)} *$", text, re.MULTILINE), text
    assert ("Lane " in text) is (source != "sms.normal")


def test_every_state_of_a_dead_letter_can_be_asked_for_and_all_of_them_at_once() -> None:
    assert {state.value for state in WhichState} == {*map(str, DeadLetterState), "all"}
    assert states_of(None) == states_of([]) == OPEN
    assert states_of([WhichState.ALL]) == tuple(DeadLetterState)
    assert states_of([WhichState.REPLAYED, WhichState.OPEN]) == (
        DeadLetterState.OPEN,
        DeadLetterState.REPLAYED,
    )
