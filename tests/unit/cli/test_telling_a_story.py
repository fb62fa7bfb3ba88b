"""What `tidings show` says: every attempt, every change, and what comes next."""

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from rich.console import Console
from tests.support.attempts import body_of

from tidings.cli.show import render_story
from tidings.delivery.states import State
from tidings.ledger.notifications.details import (
    AttemptRow,
    DeadLetterSummary,
    NotificationDetails,
    NotificationSummary,
    Recipient,
    Transition,
)
from tidings.operations.notifications import NotificationView

NOW = datetime(2026, 11, 22, 18, 30, tzinfo=UTC)
ACCEPTED = NOW - timedelta(minutes=5)
WORKER = "worker web-1:4242:7f3a/tidings.email.high/12"
BODY = body_of(recipient="jane@example.com", body="[bold]Hi[/bold]")


def a_summary(**fields: Any) -> NotificationSummary:
    blank = dict.fromkeys(NotificationSummary.__dataclass_fields__)
    known: dict[str, Any] = {
        "id": UUID(int=7),
        "channel": "email",
        "priority": "high",
        "tenant": "default",
        "category": "receipt",
        "recipient": "jane@example.com",
        "state": State.SENT,
        "epoch": 0,
        "attempt": 1,
        "accepted_at": ACCEPTED,
    }
    return NotificationSummary(**{**blank, **known, **fields})


def a_try(number: int, state: State, seconds: float = 1, **fields: Any) -> AttemptRow:
    blank = dict.fromkeys(AttemptRow.__dataclass_fields__)
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
    return AttemptRow(**{**blank, **known, **fields})


def a_story(
    summary: NotificationSummary,
    *tries: AttemptRow,
    changes: tuple[Transition, ...] = (),
    **parts: Any,
) -> NotificationDetails:
    begun = Transition(0, ACCEPTED, None, "queued", "producer", "accepted", 0)
    views = [
        change
        for attempt in tries
        for change in (
            Transition(
                attempt.epoch,
                attempt.started_at,
                "queued",
                "sending",
                WORKER,
                "",
                2 * attempt.attempt,
            ),
            Transition(
                attempt.epoch,
                attempt.started_at,
                "sending",
                attempt.state,
                WORKER,
                "",
                2 * attempt.attempt + 1,
            ),
        )
    ]
    ordered = sorted(
        (begun, *views, *changes), key=lambda attempt: (attempt.epoch, attempt.at, attempt.step)
    )
    return NotificationDetails(
        summary, parts.get("body", BODY), tuple(ordered), tries, parts.get("dead_letters", ())
    )


def text_of(story: NotificationDetails, *, reveal: bool = False, width: int = 160) -> str:
    sheet = io.StringIO()
    Console(file=sheet, width=width, highlight=False).print(
        render_story(NotificationView.of(story, "", NOW, reveal=reveal), NOW)
    )
    return sheet.getvalue()


def test_it_begins_with_what_and_whom_and_masks_the_recipient() -> None:
    text = text_of(a_story(a_summary(user_id="u1", entity_type="order", entity_id="10042")))
    assert "SENT" in text
    assert "email · high · receipt" in text
    assert "j…@example.com" in text
    assert "order 10042" in text
    assert "5m ago" in text
    assert "jane@" not in text


def a_result(role: str, address: str, state: str, **fields: Any) -> Recipient:
    blank: dict[str, Any] = {"epoch": 0, "attempt": 1, "kind": "", "code": "", "message": ""}
    return Recipient(
        **{**blank, "role": role, "address": address, "state": state, "at": NOW, **fields}
    )


def test_copies_that_did_not_go_out_are_named_and_masked_and_the_others_are_not() -> None:
    story = replace(
        a_story(a_summary(reason="copies_refused")),
        recipients=(
            a_result("to", "jane@example.com", "sent"),
            a_result("cc", "robert@example.com", "refused", kind="rejected", code="550 5.1.1"),
            a_result("bcc", "evelyn@example.net", "given_up", kind="deferred", message="later"),
            a_result("bcc", "zoe@example.net", "refused", kind="rejected", epoch=1),
        ),
    )

    assert "cc   r…@example.com  refused   550 5.1.1" in text_of(story)
    assert "bcc  e…@example.net  given up  later" in text_of(story)
    assert "robert@example.com" in text_of(story, reveal=True)
    assert text_of(story).count("@example.net") == 1
    masked = [
        line["address"]
        for line in NotificationView.of(story, "", NOW, reveal=False).as_data()["recipient_results"]
    ]
    assert masked == ["j…@example.com", "r…@example.com", "e…@example.net", "z…@example.net"]


def test_each_attempt_is_told_once_with_provider_code_and_duration() -> None:
    text = text_of(
        a_story(
            a_summary(attempt=2),
            a_try(1, State.RETRYING, code="451 4.7.1", kind="unavailable", message="greylisted", retry_delay=60),
            a_try(2, State.SENT, 62, code="250", reference="4XyZ"),
        )
    )  # fmt: skip
    assert text.count("attempt 1") == 1
    assert "unavailable: greylisted" in text
    assert "smtp:mx.example.com · 451 4.7.1 · 203ms · retry in 1m" in text
    assert "✓ attempt 2 → sent" in text
    assert "+1m 2s" in text
    assert "worker web-1:4242:7f3a" in text
    assert "tidings.email.high/12" not in text


def test_a_change_names_who_made_it_and_why() -> None:
    change = Transition(0, NOW, "retrying", "cancelled", "cli jane@desk", "wrong [customer]", 1)
    text = text_of(a_story(a_summary(state=State.CANCELLED), changes=(change,)))
    assert "→ cancelled: wrong [customer]" in text
    assert "cli jane@desk" in text


def test_what_is_published_again_during_an_attempt_says_nothing_against_its_outcome() -> None:
    why = "published again with other content by app_id 'shop': the other content is not sent"
    again = Transition(0, ACCEPTED + timedelta(seconds=1.1), "sending", "sending", WORKER, why, 1)
    text = text_of(a_story(a_summary(), a_try(1, State.SENT), changes=(again,)))
    assert "attempt 1 → sent" in text
    assert f"· {why}" in text
    assert "still" not in text


def test_a_possible_duplicate_is_said_to_be_one() -> None:
    text = text_of(a_story(a_summary(), a_try(1, State.SENT, possible_duplicate=True)))
    assert "possible duplicate" in text


def test_a_replay_s_attempts_are_told_apart() -> None:
    text = text_of(
        a_story(a_summary(epoch=1), a_try(1, State.FAILED), a_try(1, State.SENT, 60, epoch=1))
    )
    assert "attempt 1 → failed" in text
    assert "attempt 1 of replay 1 → sent" in text


@pytest.mark.parametrize(
    ("fields", "coming"),
    [
        ({"state": State.SCHEDULED, "dispatch_at": NOW + timedelta(hours=2)}, "(in 2h)"),
        ({"state": State.SUPPRESSED, "duplicate_of": UUID(int=9)}, f"tidings show {UUID(int=9)}"),
        ({"state": State.RETRYING, "attempt": 0}, "when its channel is available again"),
        (
            {"state": State.SENDING, "lease_until": NOW + timedelta(seconds=30)},
            "is in progress, for at most 30s more",
        ),
        (
            {"state": State.SENDING, "lease_until": NOW - timedelta(seconds=1)},
            "another worker takes it over",
        ),
        ({"state": State.FAILED}, "not archived yet"),
    ],
    ids=lambda value: str(value.get("state")) if isinstance(value, dict) else "",
)
def test_it_ends_with_what_comes_next(fields: dict[str, Any], coming: str) -> None:
    assert coming in text_of(a_story(a_summary(**fields)))


def test_the_next_attempt_is_foretold_and_then_expected() -> None:
    summary = a_summary(state=State.RETRYING)
    ahead = a_story(summary, a_try(1, State.RETRYING, 240, retry_delay=120))
    assert "Next: attempt 2 about" in text_of(ahead)
    assert "(in 1m)" in text_of(ahead)
    behind = a_story(summary, a_try(1, State.RETRYING, 1, retry_delay=60))
    assert "when a worker reads it from its lane" in text_of(behind)


def test_what_was_put_off_since_its_last_attempt_is_said_to_wait_so() -> None:
    postponed = Transition(
        0,
        NOW - timedelta(seconds=90),
        "sending",
        "retrying",
        "worker",
        "not sent, no attempt spent: its receiver is busy",
        0,
    )
    story = a_story(a_summary(state=State.RETRYING), a_try(1, State.RETRYING, 1, retry_delay=60))
    text = text_of(replace(story, history=(*story.history, postponed)))
    assert (
        "runs automatically: postponed 1m 30s ago, waiting in a retry queue or in its lane" in text
    )
    assert "as soon as a worker" not in text


def test_a_dead_letter_is_named_with_what_can_be_done() -> None:
    dead_letter = DeadLetterSummary(
        UUID(int=3), UUID(int=7), 0, "open", "rejected", "rejected", "550", "no", NOW, None
    )
    text = text_of(a_story(a_summary(state=State.FAILED), dead_letters=(dead_letter,)))
    assert f"tidings dead show {dead_letter.id}" in text
    assert f"tidings replay {dead_letter.id}" in text


@pytest.mark.parametrize(
    ("code", "body", "expires_at", "offered"),
    [
        ("550", BODY, None, ("Replay:    tidings replay {}", "tidings dead edit {} --replay")),
        ("550", b"{}", None, ("tidings dead edit {} --replay",)),
        ("550", BODY, ACCEPTED, ("tidings dead edit {} --set expires_at=… --replay",)),
        ("", BODY, ACCEPTED, ("tidings dead edit {} --set expires_at=… --replay",)),
        ("", BODY, None, ("Replay:    tidings replay {}",)),
        ("TemplateNotFound", BODY, None, ("edit {} --set template=… --replay", "replay {}")),
        ("TemplateSyntax", BODY, None, ("After fixing the template: tidings replay {}",)),
    ],
)
def test_only_what_can_work_for_this_dead_letter_is_offered(
    code: str, body: bytes, expires_at: datetime | None, offered: tuple[str, ...]
) -> None:
    dead_letter = DeadLetterSummary(
        UUID(int=3), UUID(int=7), 0, "open", "expired", "rejected", code, "no", NOW, None
    )
    summary = a_summary(state=State.FAILED, reason="expired", expires_at=expires_at)
    text = text_of(a_story(summary, dead_letters=(dead_letter,), body=body))
    assert all(line.format(dead_letter.id) in text for line in offered)
    assert text.count(f"tidings replay {dead_letter.id}") == sum(
        "replay {}" in line for line in offered
    )


def test_what_expired_before_it_was_tried_is_no_attempt() -> None:
    expired = {"kind": "expired", "message": "not delivered before noon", "provider": None}
    summary = a_summary(
        state=State.EXPIRED, finished_at=NOW, failure_kind="expired", reason="expired"
    )
    story = a_story(summary, a_try(1, State.EXPIRED, **expired))
    text = text_of(story)
    assert "✗ expired before the first attempt" in text
    assert "not delivered before noon" in text
    assert "attempt 1" not in text
    told_json = NotificationView.of(story, "", NOW, reveal=False).as_data()
    assert (told_json["attempt_count"], told_json["attempts"]) == (0, [])
    once = a_story(
        replace(summary, attempt=2),
        a_try(1, State.RETRYING, kind="unavailable", retry_delay=60),
        a_try(2, State.EXPIRED, 70, **expired),
    )
    assert "✗ expired before the next attempt" in text_of(once)
    assert NotificationView.of(once, "", NOW, reveal=False).as_data()["attempt_count"] == 1


def test_clocks_that_disagree_are_mentioned() -> None:
    story = a_story(a_summary(), a_try(1, State.RETRYING, 60), a_try(2, State.SENT, 30))
    assert "clocks of its workers differ" in text_of(story)


def test_revealed_it_shows_the_recipient_and_the_words_as_they_are() -> None:
    text = text_of(a_story(a_summary()), reveal=True)
    assert "jane@example.com" in text
    assert "[bold]Hi[/bold]" in text


def test_a_view_that_is_not_to_reveal_anything_holds_no_recipient() -> None:
    quoting = Transition(
        0, NOW, "queued", "failed", WORKER, 'recipient: "jane@example.com" is odd', 1
    )
    story = a_story(a_summary(reason='recipient: "jane@example.com"'), changes=(quoting,))

    assert "jane@" not in repr(NotificationView.of(story, "", NOW, reveal=False))
    assert "jane@" in repr(NotificationView.of(story, "", NOW, reveal=True))


def test_for_programs_the_body_is_there_only_when_revealed() -> None:
    story = a_story(a_summary(), a_try(1, State.SENT))
    assert (
        NotificationView.of(story, "", NOW, reveal=False).as_data()["recipient"] == "j…@example.com"
    )
    assert "body" not in NotificationView.of(story, "", NOW, reveal=False).as_data()
    assert (
        NotificationView.of(story, "", NOW, reveal=True).as_data()["body"]["recipient"]
        == "jane@example.com"
    )
    assert (
        NotificationView.of(story, "", NOW, reveal=False).as_data()["attempts"][0]["duration_ms"]
        == 203
    )


@pytest.mark.parametrize("width", [60, 80])
def test_in_a_narrow_terminal_what_goes_on_begins_below_its_text_and_no_id_is_cut(
    width: int,
) -> None:
    long = (
        "the relay can't accept mail for the recipient now, but says that it may be able to later"
    )
    dead_letter = DeadLetterSummary(
        UUID(int=3), UUID(int=7), 0, "open", "rejected", "rejected", "550", "no", NOW, None
    )
    why = f"dead letter {dead_letter.id} replayed, by cli jane@desk, as the mailbox is there again"
    story = a_story(
        a_summary(state=State.FAILED, attempt=2, traceparent=f"00-{'a' * 32}-{'b' * 16}-01"),
        a_try(1, State.RETRYING, kind="deferred", message=long, code="451 4.3.0", retry_delay=60),
        a_try(2, State.FAILED, 61, kind="rejected", message=long, code="550 5.1.1"),
        changes=(Transition(0, NOW, "failed", "failed", "cli jane@desk", why, 9),),
        dead_letters=(dead_letter,),
    )
    lines = text_of(story, width=width).splitlines()
    assert max(map(len, lines)) <= width
    starts = {len(line) - len(line.lstrip()) for line in lines if line.startswith(" ")}
    text = lines[next(place for place, line in enumerate(lines) if "attempt 1" in line)]
    column = text.index("attempt 1")
    moved = (
        {2, 5, 6} if width == 60 else set()
    )  # a command, the traceparent, the command's 2nd line
    assert starts - {column} == moved
    joined = "\n".join(lines).replace(" \\\n     ", "")
    for whole in (
        str(UUID(int=7)),
        f"tidings dead show {dead_letter.id}",
        f"tidings replay {dead_letter.id}",
        "worker web-1:4242:7f3a",
        story.notification.traceparent or "",
    ):
        assert whole in joined
    assert " ".join(long.split()) in " ".join(joined.split())


@pytest.mark.parametrize("width", [100, 120, 160])
def test_who_did_it_stands_beside_it_only_where_there_is_room_for_what_it_was(width: int) -> None:
    long = (
        "the relay can't accept mail for the recipient now, but says that it may be able to later"
    )
    text = text_of(a_story(a_summary(), a_try(1, State.SENT, kind="x", message=long)), width=width)
    [line] = [line for line in text.splitlines() if "worker web-1:4242:7f3a" in line]
    assert ("attempt 1" in line) == (width > 110)
    assert line.endswith("worker web-1:4242:7f3a")
    goes_on = [line for line in text.splitlines() if line.strip() and line.startswith(" ")]
    assert {len(line) - len(line.lstrip()) for line in goes_on} == {22}


@pytest.mark.parametrize("width", [160, 100_000])
def test_who_did_it_is_told_with_by_in_a_wide_terminal_and_below_it_in_a_file(width: int) -> None:
    lines = text_of(a_story(a_summary(), a_try(1, State.SENT)), width=width).splitlines()
    [line] = [line for line in lines if "by worker web-1:4242:7f3a" in line]
    assert ("attempt 1" in line) == (width == 160)
    assert max(map(len, lines)) < 120


def test_a_time_of_whole_seconds_is_told_to_the_second() -> None:
    def accepted(**fields: Any) -> str:
        return next(
            line
            for line in text_of(a_story(a_summary(**fields))).splitlines()
            if "Accepted" in line
        )

    assert "to the second" in accepted(time_source="producer")
    assert "to the second" not in accepted(
        time_source="producer", accepted_at=ACCEPTED + timedelta(milliseconds=3)
    )
    assert "to the second" not in accepted(time_source=None)


@pytest.mark.parametrize("width", [60, 61, 62, 64, 66, 80])
@pytest.mark.parametrize("seconds", [0.2, 72, 7_300, 90_061], ids=str)
def test_a_line_with_an_id_begins_where_the_others_do(width: int, seconds: float) -> None:
    dead_letter = UUID(int=3)
    why = f"replayed from dead letter {dead_letter}, as the mailbox is there again and takes what comes"
    at = ACCEPTED + timedelta(seconds=seconds)
    change = Transition(0, at, "retrying", "cancelled", "cli jane@desk", why, 1)
    lines = text_of(a_story(a_summary(), changes=(change,)), width=width).splitlines()
    [begins] = [place for place, line in enumerate(lines) if "→ cancelled" in line]
    column = lines[begins].index("→")
    goes_on = [line for line in lines[begins + 1 :] if line.startswith("  ")]
    assert any(str(dead_letter) in line for line in goes_on) or str(dead_letter) in lines[begins]
    assert {len(line) - len(line.lstrip()) for line in goes_on} == {column + 2}
    assert max(map(len, lines)) <= width
