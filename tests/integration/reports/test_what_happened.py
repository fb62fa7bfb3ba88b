"""What happened to one notification, to some, to all: read back from a real ledger."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID, uuid4

import pytest
from tests.support.attempts import read_in_its_lane

from tidings.delivery.attempt import Attempt, Message
from tidings.delivery.delay import Delay
from tidings.delivery.errors import Refused
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.outcome import (
    Claim,
    Claimed,
    Failure,
    Finished,
    Outcome,
    Reason,
    RetryLater,
    Sent,
    Undeliverable,
)
from tidings.delivery.ports import ClaimRequest, Record
from tidings.delivery.states import State
from tidings.ledger import PostgresLedger
from tidings.ledger.notifications.changes import Cancelled
from tidings.ledger.notifications.details import AttemptRow, Transition
from tidings.ledger.notifications.filters import Filters
from tidings.ledger.operators.rollups import Window
from tidings.ledger.operators.statistics import Choice
from tidings.ledger.positions import Position
from tidings.operations.notification_json import summary_as_data
from tidings.settings import LedgerSettings

TOKEN = "worker test:1:abc"
GREYLISTED = Failure("unavailable", "greylisted", "smtp:mx.example.com", "451 4.7.1")


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[PostgresLedger]:
    settings = LedgerSettings(database_url=database_url)
    async with PostgresLedger(settings, actor=TOKEN) as ledger:
        yield ledger


def an_attempt(number: int = 1, *, channel: str = "sms", **fields: object) -> Attempt:
    recipient = "+14155550123" if channel == "sms" else "jane@example.com"
    text = {"body": "Hi"} if channel == "sms" else {"subject": "Hi", "body": "there"}
    body = {"id": str(uuid4()), "channel": channel, "recipient": recipient, **text, **fields}
    first_seen = datetime.now(UTC) - timedelta(seconds=1)
    headers = {"x-tidings-attempt": number, "x-tidings-first-seen": first_seen.isoformat()}
    return read_in_its_lane(Message(json.dumps(body).encode(), f"{channel}.normal", headers))


def again(attempt: Attempt, number: int) -> Attempt:
    headers: dict[str, object] = {
        "x-tidings-attempt": number,
        "x-tidings-first-seen": attempt.first_seen.isoformat(),
    }
    return read_in_its_lane(Message(attempt.body, attempt.lane.key, headers))


async def made(ledger: PostgresLedger, attempt: Attempt, *outcomes: Outcome) -> UUID:
    """Claim and record one attempt for each outcome."""
    for number, outcome in enumerate(outcomes, start=attempt.number):
        trial = again(attempt, number)
        assert isinstance(await claim(ledger, trial), Claimed)
        started_at = datetime.now(UTC) - timedelta(milliseconds=250)
        record = Record(trial, TOKEN, outcome, started_at=started_at, duration=0.25)
        assert await ledger.record(record)
    return attempt.id


async def claim(ledger: PostgresLedger, attempt: Attempt) -> Claim:
    return await ledger.claim(ClaimRequest(attempt, TOKEN, lease=30, expires_at=None))


async def accepted_at(ledger: PostgresLedger, id_: UUID, moment: datetime) -> None:
    """As if it had been accepted then."""
    async with ledger.database.connection() as connection:
        await connection.execute(
            "UPDATE notifications SET accepted_at = $2 WHERE id = $1", id_, moment
        )


async def test_a_story_tells_every_attempt_and_every_change_once_and_in_order(
    ledger: PostgresLedger,
) -> None:
    attempt = an_attempt(channel="email", user_id="u1", entity={"type": "order", "id": "10042"})
    retry = RetryLater(GREYLISTED, Delay(60), 2)
    await made(ledger, attempt, retry, Sent("smtp:mx.example.com", "4XyZ", "250"))
    story = await ledger.reports.show(attempt.id)
    assert story is not None
    assert story.notification.state is State.SENT
    assert story.notification.entity_id == "10042"
    assert story.body == attempt.body
    timeline = [
        (type(entry), entry.after if isinstance(entry, Transition) else entry.state)
        for entry in story.timeline
    ]
    assert timeline == [
        (Transition, "queued"),
        (AttemptRow, State.RETRYING),
        (AttemptRow, State.SENT),
    ]
    first, second = story.attempts
    assert (first.code, first.kind, first.retry_delay) == ("451 4.7.1", "unavailable", 60)
    assert (second.reference, second.duration_ms) == ("4XyZ", 250)
    assert len(story.history) == 5
    assert all(attempt.at <= other.at for attempt, other in pairwise(story.history))


async def test_an_id_is_found_by_its_first_digits(ledger: PostgresLedger) -> None:
    attempt = an_attempt()
    await made(ledger, attempt, Sent("twilio"))
    story = await ledger.reports.show(IdPrefix.parse(str(attempt.id)[:10].upper()))
    assert story is not None
    assert story.notification.id == attempt.id


async def test_four_digits_name_an_id_that_only_begins_so(ledger: PostgresLedger) -> None:
    for id in ("7a3f0000-0000-4000-8000-000000000001", "11117a3f-0000-4000-8000-00000000beef"):
        await made(ledger, an_attempt(id=id), Sent("twilio"))
    find = ledger.reports.find
    assert str(await find(IdPrefix.parse("7A3f"))).endswith("0001")
    assert await find(IdPrefix.parse("beef")) is None, (
        "too few digits to look for in the middle of ids"
    )
    assert str(await find(IdPrefix.parse("00beef"))).endswith("beef")


async def test_ids_of_the_same_minute_are_told_apart_by_any_of_their_later_digits(
    ledger: PostgresLedger,
) -> None:
    ids = [f"0193a5c4-2c00-7{number}-8000-000000{number}041" for number in (123, 456)]
    for id in ids:
        await made(ledger, an_attempt(id=id), Sent("twilio"))
    for typed in (ids[1], ids[1][24:], ids[1][-18:], ids[1][9:18], "c00-7456-8"):
        assert str(await ledger.reports.find(IdPrefix.parse(typed))) == ids[1]
    with pytest.raises(Refused, match="the last 12 of the right id"):
        await ledger.reports.find(IdPrefix.parse("0193a5c4"))
    assert await ledger.reports.find(IdPrefix.parse("00009041")) is None


async def test_digits_that_several_ids_begin_with_are_refused_and_all_are_named(
    ledger: PostgresLedger,
) -> None:
    twins = [str(UUID(int=(0x0192F0C1 << 96) + number)) for number in (1, 2)]
    for twin in twins:
        await made(ledger, an_attempt(id=twin), Sent("twilio"))
    with pytest.raises(Refused) as refused:
        await ledger.reports.show(IdPrefix.parse("0192f0c1"))
    assert all(twin in str(refused.value) for twin in twins)


@pytest.mark.parametrize("text", ["", "019", "not-an-id-at-all", "0" * 33, "0192f0c1?"])
def test_what_is_no_id_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="its first 4 or more hex digits"):
        IdPrefix.parse(text)


async def test_an_unknown_id_has_no_story(ledger: PostgresLedger) -> None:
    assert await ledger.reports.show(uuid4()) is None
    assert await ledger.reports.show(IdPrefix.parse("01234567")) is None
    assert await ledger.reports.dead_letters(IdPrefix.parse("01234567")) == ()


@pytest.mark.parametrize(
    "filters",
    [
        Filters(channels=("email",)),
        Filters(states=(State.SENT, State.DELIVERED)),
        Filters(categories=("receipt",)),
        Filters(tenant="acme"),
        Filters(tenant="acme", states=(State.SENT,)),
        Filters(user_ids=("u1",)),
        Filters(entities=(("order", "10042"),)),
        Filters(recipients=("jane@example.com",)),
        Filters(since=datetime(2026, 6, 1, tzinfo=UTC)),
        Filters(until=datetime(2026, 6, 3, tzinfo=UTC), since=datetime(2026, 6, 1, tzinfo=UTC)),
    ],
    ids=str,
)
async def test_each_filter_finds_the_one_and_leaves_the_other(
    ledger: PostgresLedger, filters: Filters
) -> None:
    wanted = an_attempt(
        channel="email",
        tenant="acme",
        category="receipt",
        user_id="u1",
        entity={"type": "order", "id": "10042"},
    )
    other = an_attempt(user_id="u2", entity={"type": "order", "id": "1"})
    await made(ledger, wanted, Sent("smtp"))
    await made(ledger, other, Undeliverable(Reason.REJECTED, Failure("rejected", "no")))
    await accepted_at(ledger, wanted.id, datetime(2026, 6, 2, tzinfo=UTC))
    await accepted_at(ledger, other.id, datetime(2026, 5, 2, tzinfo=UTC))
    page = await ledger.reports.list(filters, 10)
    assert [summary.id for summary in page.found] == [wanted.id]


async def test_a_list_is_newest_first_and_goes_on_where_the_last_page_ended(
    ledger: PostgresLedger,
) -> None:
    moment = datetime(2026, 6, 2, tzinfo=UTC)
    ids = [await made(ledger, an_attempt(), Sent("twilio")) for _ in range(5)]
    for place, id_ in enumerate(ids):
        await accepted_at(ledger, id_, moment + timedelta(seconds=place // 2))  # ties too
    pages: list[UUID] = []
    after: Position | None = None
    while True:
        page = await ledger.reports.list(Filters(), 2, after=after)
        assert len(page.found) <= 2
        pages += [summary.id for summary in page.found]
        if (after := page.next(2)) is None:
            break
    assert len(pages) == len(set(pages)) == 5
    assert pages[0] == ids[4]
    assert set(pages[3:]) == set(ids[:2])


def last_hour() -> Window:
    now = datetime.now(UTC)
    return Window.around(now - timedelta(hours=1), None, now)


async def test_statistics_count_and_divide(ledger: PostgresLedger) -> None:
    rejected = Undeliverable(Reason.REJECTED, Failure("rejected", "no"))
    retry = RetryLater(GREYLISTED, Delay(60), 2)
    for _ in range(3):
        await made(ledger, an_attempt(channel="email"), Sent("smtp"))
    await made(ledger, an_attempt(channel="email"), retry, Sent("smtp"))
    await made(ledger, an_attempt(channel="sms", tenant="acme"), rejected)
    await made(ledger, an_attempt(channel="sms"), retry)
    stats = await ledger.reports.stats(last_hour())
    email, sms = stats.channels["email"], stats.channels["sms"]
    assert email.outcomes == {"sent": 4, "retry_later": 1}
    assert sms.outcomes == {"rejected": 1, "retry_later": 1}
    assert (email.success_rate, sms.success_rate) == (1, 0)
    assert (email.failure_rate, sms.failure_rate) == (0, 1)
    assert (email.retry_rate, sms.retry_rate) == (0.25, 0.5)
    assert (email.attempts, sms.attempts) == (5, 2)
    assert (email.attempts_each, sms.attempts_each) == (1.25, 1)
    assert (stats.total.attempted, stats.total.finished, stats.total.succeeded) == (6, 5, 4)
    assert sms.p50 is None
    assert stats.errors == {"unavailable": 2, "rejected": 1}
    assert sum(rates.attempts for _, rates in stats.buckets) == 7
    of_acme = await ledger.reports.stats(last_hour(), Choice("acme"))
    assert {name: rates.outcomes for name, rates in of_acme.channels.items()} == {
        "sms": {"rejected": 1}
    }
    by_smtp = await ledger.reports.stats(last_hour(), Choice(providers=("smtp", "twilio")))
    assert by_smtp.total.outcomes == {"sent": 4}
    assert (await ledger.reports.stats(last_hour(), Choice(categories=("x",)))).channels == {}


async def test_statistics_count_no_try_of_what_expired_before_it_was_tried(
    ledger: PostgresLedger,
) -> None:
    late = Undeliverable(Reason.EXPIRED, Failure("expired", "not delivered before noon"))
    await made(ledger, an_attempt(channel="email"), Sent("smtp"))
    await made(ledger, an_attempt(channel="email"), late)
    untried = await made(ledger, an_attempt(channel="sms"), late)
    stats = await ledger.reports.stats(last_hour())
    email, sms = stats.channels["email"], stats.channels["sms"]
    assert (email.attempts_each, email.attempted, email.finished) == (1, 1, 2)
    assert (sms.attempts_each, sms.attempted, sms.retry_rate, sms.finished) == (None, 0, None, 1)
    story = await ledger.reports.show(untried)
    assert story is not None
    assert (
        story.notification.attempts_made,
        summary_as_data(story.notification)["attempt_count"],
    ) == (0, 0)


async def sent_after(
    ledger: PostgresLedger, accepted: timedelta, due: timedelta | None = None, epoch: int = 0
) -> None:
    """Sent now, as if it had been accepted and due so long ago."""
    attempt, now = an_attempt(), datetime.now(UTC)
    await claim(ledger, attempt)
    async with ledger.database.connection() as connection:
        await connection.execute(
            "UPDATE notifications SET accepted_at = $2, scheduled_at = $3, epoch = $4 WHERE id = $1",
            *(attempt.id, now - accepted, due and now - due, epoch),
        )
    trial = replace(attempt, epoch=epoch)
    assert await ledger.record(Record(trial, TOKEN, Sent("twilio"), now, 0.1))


async def test_time_to_delivery_counts_from_when_it_was_due(ledger: PostgresLedger) -> None:
    for seconds in (2, 2, 2):
        await sent_after(ledger, timedelta(seconds=seconds))
    await sent_after(ledger, timedelta(minutes=30), timedelta(minutes=10))
    total = (await ledger.reports.stats(last_hour())).total
    assert total.p50 == pytest.approx(2, rel=0.45)
    assert total.p99 == pytest.approx(600, rel=0.45)
    assert total.p95 is not None
    assert total.p95 <= total.p99


async def test_time_to_delivery_leaves_out_what_was_replayed(ledger: PostgresLedger) -> None:
    """It waited for a person, for hours perhaps, and says nothing of how fast Tidings is."""
    await sent_after(ledger, timedelta(seconds=2))
    await sent_after(ledger, timedelta(hours=5), epoch=1)
    total = (await ledger.reports.stats(last_hour())).total
    assert total.p99 == pytest.approx(2, rel=0.45)
    assert (total.attempted, total.succeeded) == (2, 2)


async def test_statistics_of_nothing_divide_by_nothing(ledger: PostgresLedger) -> None:
    stats = await ledger.reports.stats(last_hour())
    assert (stats.channels, stats.errors, stats.counted_since) == ({}, {}, None)
    assert (stats.total.attempted, stats.total.success_rate, stats.total.retry_rate) == (
        0,
        None,
        None,
    )


async def test_what_waits_to_be_retried_can_be_cancelled_and_its_message_is_then_forgotten(
    ledger: PostgresLedger,
) -> None:
    attempt = an_attempt()
    await made(ledger, attempt, RetryLater(GREYLISTED, Delay(60), 2))
    was = await ledger.changes.cancel(attempt.id, actor="cli jane@desk", reason="wrong customer")
    assert was == Cancelled(State.RETRYING, perhaps_sent=False)
    answer = await claim(ledger, again(attempt, 2))
    assert answer == Finished(State.CANCELLED)
    story = await ledger.reports.show(attempt.id)
    assert story is not None
    last = story.history[-1]
    assert (last.before, last.after) == ("retrying", "cancelled")
    assert (last.actor, last.reason) == ("cli jane@desk", "wrong customer")


async def test_what_is_scheduled_can_be_cancelled_and_is_never_due(ledger: PostgresLedger) -> None:
    due = datetime.now(UTC) + timedelta(hours=1)
    attempt = an_attempt(scheduled_at=due.isoformat())
    await claim(ledger, attempt)
    assert await ledger.outbox.seconds_to_next() is not None
    assert await ledger.changes.cancel(attempt.id, actor="cli", reason="x") == Cancelled(
        State.SCHEDULED, perhaps_sent=False
    )
    assert await ledger.outbox.seconds_to_next() is None


async def test_what_is_sent_sending_cancelled_or_unknown_is_not_cancelled(
    ledger: PostgresLedger,
) -> None:
    sent = await made(ledger, an_attempt(), Sent("twilio"))
    with pytest.raises(Refused, match="it has ended as sent"):
        await ledger.changes.cancel(sent, actor="cli", reason="x")
    sending = an_attempt()
    await claim(ledger, sending)
    with pytest.raises(Refused, match="being sent at this moment"):
        await ledger.changes.cancel(sending.id, actor="cli", reason="x")
    with pytest.raises(Refused, match="no notification"):
        await ledger.changes.cancel(uuid4(), actor="cli", reason="x")
    waiting = an_attempt()
    await made(ledger, waiting, RetryLater(GREYLISTED, Delay(60), 2))
    await ledger.changes.cancel(waiting.id, actor="cli", reason="x")
    with pytest.raises(Refused, match="cancelled already"):
        await ledger.changes.cancel(waiting.id, actor="cli", reason="x")
    story = await ledger.reports.show(sent)
    assert story is not None
    assert story.notification.state is State.SENT
