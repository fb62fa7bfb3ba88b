"""What `tidings show` says: every attempt, every change, and what comes next."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from rich.console import Console

from tidings.cli.show import as_data, told
from tidings.delivery.states import State
from tidings.ledger.stories import Burial, Change, Story, Summary, Try

NOW = datetime(2026, 11, 22, 18, 30, tzinfo=UTC)
ACCEPTED = NOW - timedelta(minutes=5)
WORKER = "worker web-1:4242:7f3a/tidings.email.high/12"
BODY = b'{"recipient": "jane@example.com", "body": "[bold]Hi[/bold]"}'


def a_summary(**fields: Any) -> Summary:
    blank = dict.fromkeys(Summary.__dataclass_fields__)
    known: dict[str, Any] = {
        "id": UUID(int=7),
        "channel": "email",
        "priority": "high",
        "category": "receipt",
        "recipient": "jane@example.com",
        "state": State.SENT,
        "epoch": 0,
        "attempt": 1,
        "accepted_at": ACCEPTED,
    }
    return Summary(**{**blank, **known, **fields})


def a_try(number: int, state: State, seconds: float = 1, **fields: Any) -> Try:
    blank = dict.fromkeys(Try.__dataclass_fields__)
    known: dict[str, Any] = {
        "epoch": 0,
        "attempt": number,
        "started_at": ACCEPTED + timedelta(seconds=seconds),
        "duration_ms": 203.0,
        "state": state,
        "provider": "smtp:mx.example.com",
        "possible_duplicate": False,
        "worker": WORKER,
    }
    return Try(**{**blank, **known, **fields})


def a_story(summary: Summary, *tries: Try, changes: tuple[Change, ...] = (), **parts: Any) -> Story:
    begun = Change(0, ACCEPTED, None, "queued", "producer", "accepted", 0)
    views = [
        change
        for one in tries
        for change in (
            Change(one.epoch, one.started_at, "queued", "sending", WORKER, "", 2 * one.attempt),
            Change(
                one.epoch, one.started_at, "sending", one.state, WORKER, "", 2 * one.attempt + 1
            ),
        )
    ]
    ordered = sorted((begun, *views, *changes), key=lambda one: (one.epoch, one.at, one.step))
    return Story(summary, BODY, tuple(ordered), tries, parts.get("letters", ()))


def said(story: Story, *, reveal: bool = False) -> str:
    sheet = io.StringIO()
    Console(file=sheet, width=160, highlight=False).print(told(story, reveal=reveal, now=NOW))
    return sheet.getvalue()


def test_it_begins_with_what_and_whom_and_masks_the_recipient() -> None:
    text = said(a_story(a_summary(user_id="u1", entity_type="order", entity_id="10042")))
    assert "SENT" in text
    assert "email · high · receipt" in text
    assert "j…@example.com" in text
    assert "order 10042" in text
    assert "5m ago" in text
    assert "jane@" not in text


def test_each_attempt_is_told_once_with_provider_code_and_duration() -> None:
    text = said(
        a_story(
            a_summary(attempt=2),
            a_try(1, State.RETRYING, code="451 4.7.1", kind="unavailable", message="greylisted", retry_delay=60),
            a_try(2, State.SENT, 62, code="250", reference="4XyZ"),
        )
    )  # fmt: skip
    assert text.count("attempt 1") == 1
    assert "unavailable: greylisted" in text
    assert "smtp:mx.example.com · 451 4.7.1 · 203 ms · again in 1m" in text
    assert "✓ attempt 2 → sent" in text
    assert "+1m 2s" in text
    assert "worker web-1:4242:7f3a" in text
    assert "tidings.email.high/12" not in text


def test_a_change_names_who_made_it_and_why() -> None:
    change = Change(0, NOW, "retrying", "cancelled", "cli jane@desk", "wrong [customer]", 1)
    text = said(a_story(a_summary(state=State.CANCELLED), changes=(change,)))
    assert "→ cancelled: wrong [customer]" in text
    assert "cli jane@desk" in text


def test_a_possible_duplicate_is_said_to_be_one() -> None:
    text = said(a_story(a_summary(), a_try(1, State.SENT, possible_duplicate=True)))
    assert "possibly a second time" in text


def test_a_replay_s_attempts_are_told_apart() -> None:
    text = said(
        a_story(a_summary(epoch=1), a_try(1, State.FAILED), a_try(1, State.SENT, 60, epoch=1))
    )
    assert "attempt 1 → failed" in text
    assert "attempt 1 of replay 1 → sent" in text


@pytest.mark.parametrize(
    ("fields", "coming"),
    [
        ({"state": State.SCHEDULED, "dispatch_at": NOW + timedelta(hours=2)}, "(in 2h)"),
        ({"state": State.SUPPRESSED, "duplicate_of": UUID(int=9)}, f"tidings show {UUID(int=9)}"),
        ({"state": State.RETRYING, "attempt": 0}, "when its channel works again"),
        (
            {"state": State.SENDING, "lease_until": NOW + timedelta(seconds=30)},
            "is under way, for at most 30.0 s more",
        ),
        (
            {"state": State.SENDING, "lease_until": NOW - timedelta(seconds=1)},
            "another worker takes it over",
        ),
        ({"state": State.FAILED}, "on its way to the archive"),
    ],
    ids=lambda value: str(value.get("state")) if isinstance(value, dict) else "",
)
def test_it_ends_with_what_comes_next(fields: dict[str, Any], coming: str) -> None:
    assert coming in said(a_story(a_summary(**fields)))


def test_the_next_attempt_is_foretold_and_then_expected() -> None:
    summary = a_summary(state=State.RETRYING)
    ahead = a_story(summary, a_try(1, State.RETRYING, 240, retry_delay=120))
    assert "Attempt 2 comes about" in said(ahead)
    assert "(in 1m)" in said(ahead)
    behind = a_story(summary, a_try(1, State.RETRYING, 1, retry_delay=60))
    assert "as soon as a worker takes it" in said(behind)


def test_a_dead_letter_is_named_with_what_can_be_done() -> None:
    letter = Burial(
        UUID(int=3), UUID(int=7), 0, "buried", "rejected", "rejected", "550", "no", NOW, None
    )
    text = said(a_story(a_summary(state=State.FAILED), letters=(letter,)))
    assert f"tidings dead show {letter.id}" in text
    assert f"tidings replay {letter.id}" in text


def test_clocks_that_disagree_are_mentioned() -> None:
    story = a_story(a_summary(), a_try(1, State.RETRYING, 60), a_try(2, State.SENT, 30))
    assert "clocks of its workers disagree" in said(story)


def test_revealed_it_shows_the_recipient_and_the_words_as_they_are() -> None:
    text = said(a_story(a_summary()), reveal=True)
    assert "jane@example.com" in text
    assert "[bold]Hi[/bold]" in text


def test_for_programs_the_body_is_there_only_when_revealed() -> None:
    story = a_story(a_summary(), a_try(1, State.SENT))
    assert as_data(story, reveal=False)["recipient"] == "j…@example.com"
    assert "body" not in as_data(story, reveal=False)
    assert as_data(story, reveal=True)["body"]["recipient"] == "jane@example.com"
    assert as_data(story, reveal=False)["attempts"][0]["duration_ms"] == 203
