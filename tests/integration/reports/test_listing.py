"""Lists: each filter takes several values, and a cursor leads through all that match, once, while others write."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations
from uuid import UUID

import pytest
from tests.integration.reports.test_what_happened import accepted_at, an_attempt, ledger, made

from tidings.delivery.delay import Delay
from tidings.delivery.errors import InvalidRequest
from tidings.delivery.outcome import Failure, Reason, RetryLater, Sent, Undeliverable
from tidings.delivery.states import State
from tidings.ledger import PostgresLedger
from tidings.ledger.notifications.filters import Filters
from tidings.ledger.notifications.search import Bounds
from tidings.operations.backend import Backend
from tidings.operations.notifications import ListRequest, NotificationPage, list_
from tidings.settings import Settings
from tidings_events.notifications.base import new_id

__all__ = ["ledger"]

BUSY = RetryLater(Failure("throttled", "busy", "smtp:b", "450"), Delay(60), 2)
GONE = Undeliverable(Reason.REJECTED, Failure("rejected", "no such user", "smtp:b", "550"))
MOMENT = datetime(2026, 6, 2, tzinfo=UTC)


@pytest.fixture
def backend(ledger: PostgresLedger) -> Backend:  # the fixture
    return Backend(Settings(), ledger)


async def page(backend: Backend, filters: Filters, **fields: object) -> NotificationPage:
    request = ListRequest(filters, explain=False, reveal=True, **fields)  # type: ignore[arg-type]  # as named
    return await list_(backend, request)


async def listed(backend: Backend, filters: Filters) -> list[str]:
    """The users of what matches, sorted."""
    found = (await page(backend, filters)).data
    return sorted(str(it.summary.user_id) for it in found)


async def fill(ledger: PostgresLedger) -> None:  # the fixture
    """Four notifications that differ in everything, and a test of each."""
    mail = {"channel": "email", "subject": "Your Order is on its way", "body": "x"}
    templated = {"channel": "email", "subject": None, "body": None, "template": "welcome"}
    for attempt, *outcomes in (
        (an_attempt(**mail, user_id="ada", category="a"), Sent("smtp:a")),
        (an_attempt(**templated, user_id="bob", category="b"), BUSY),
        (an_attempt(user_id="cy", category="c", entity={"type": "order", "id": "7"}), GONE),
        (an_attempt(user_id="di", entity={"type": "ticket", "id": "7"}), Sent("twilio")),
    ):
        await made(ledger, attempt, *outcomes)
        test = attempt.notification.model_copy(
            update={"id": new_id(), "test": True, "user_id": f"test-{attempt.notification.user_id}"}
        )
        await made(ledger, replace(attempt, notification=test, body=test.to_json()), *outcomes)


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (Filters(), "ada bob cy di"),
        (Filters(channels=("email",)), "ada bob"),
        (Filters(channels=("email", "sms")), "ada bob cy di"),
        (Filters(priorities=("normal", "low")), "ada bob cy di"),
        (Filters(priorities=("high",)), ""),
        (Filters(categories=("a", "c")), "ada cy"),
        (Filters(user_ids=("ada", "di", "nobody")), "ada di"),
        (Filters(states=(State.RETRYING, State.FAILED)), "bob cy"),
        (Filters(entities=(("order", "7"), ("ticket", "7"))), "cy di"),
        (Filters(entities=(("order", None), ("ticket", "8"))), "cy"),
        (Filters(entities=(("ticket", None),)), "di"),
        (Filters(recipients=("jane@example.com", "x@example.com")), "ada bob"),
        (Filters(templates=("welcome", "other")), "bob"),
        (Filters(providers=("smtp:a", "twilio")), "ada di"),
        (Filters(error_classes=("throttled", "rejected")), "bob cy"),
        (Filters(error_classes=("throttled",), providers=("smtp:b",)), "bob"),
        (Filters(subject="oRDER is"), "ada"),
        (Filters(subject="100 %"), ""),
        (Filters(user_ids=("ada", "cy"), channels=("sms",)), "cy"),
        (Filters(since=datetime(2026, 1, 1, tzinfo=UTC), subject="order"), "ada"),
        (Filters(until=datetime(2020, 1, 1, tzinfo=UTC)), ""),
        (Filters(test=True), "test-ada test-bob test-cy test-di"),
        (Filters(test=True, states=(State.RETRYING, State.FAILED)), "test-bob test-cy"),
        (Filters(test=True, user_ids=("test-di", "ada")), "test-di"),
        (Filters(test=True, subject="order"), "test-ada"),
    ],
    ids=str,
)
async def test_each_filter_finds_what_has_one_of_its_values(
    ledger: PostgresLedger,  # the fixture
    backend: Backend,
    filters: Filters,
    found: str,
) -> None:
    await fill(ledger)
    assert await listed(backend, filters) == found.split()


async def test_what_is_overdue_is_listed_whatever_its_state(
    ledger: PostgresLedger,  # the fixture
    backend: Backend,
) -> None:
    due = "UPDATE notifications SET dispatch_at = now() - $2 * interval '1 second', state = $3, test = $4 WHERE id = $1"
    for user, seconds, state, test in (
        ("late", 90, "scheduled", False),
        ("late-again", 90, "retrying", False),
        ("just-due", 30, "scheduled", False),
        ("later", -3_600, "scheduled", False),
        ("late-test", 90, "scheduled", True),
    ):
        id_ = await made(ledger, an_attempt(user_id=user), BUSY)
        async with ledger.database.connection() as connection:
            await connection.execute(due, id_, seconds, state, test)
    await fill(ledger)
    assert await listed(backend, Filters(overdue=True)) == ["late", "late-again"]
    assert await listed(backend, Filters(overdue=True, states=(State.RETRYING,))) == ["late-again"]
    assert await listed(backend, Filters(overdue=True, test=True)) == ["late-test"]


async def test_every_two_filters_together_find_what_matches_both(
    ledger: PostgresLedger,  # the fixture
    backend: Backend,
) -> None:
    await fill(ledger)
    alone = {
        "channels": ("sms",),
        "states": (State.FAILED,),
        "priorities": ("normal", "high"),
        "categories": ("c",),
        "user_ids": ("cy", "ada"),
        "entities": (("order", "7"),),
        "recipients": ("+14155550123",),
        "providers": ("smtp:b",),
        "error_classes": ("rejected",),
        "tenant": "default",
    }
    for first, second in combinations(alone, 2):
        filters = Filters(**{first: alone[first], second: alone[second]})  # type: ignore[arg-type]  # as named
        assert "cy" in await listed(backend, filters), filters


async def test_a_cursor_leads_through_all_that_match_while_others_are_added_and_change(
    ledger: PostgresLedger,  # the fixture
    backend: Backend,
) -> None:
    ids = [await made(ledger, an_attempt(user_id=f"u{n % 2}"), BUSY) for n in range(7)]
    for place, id_ in enumerate(ids):
        await accepted_at(ledger, id_, MOMENT + timedelta(seconds=place // 3))  # ties too
    for filters in (Filters(), Filters(user_ids=("u0", "u1")), Filters(states=(State.RETRYING,))):
        seen: list[UUID] = []
        cursor: str | None = None
        while True:
            view = await page(backend, filters, limit=2, cursor=cursor)
            seen += [it.summary.id for it in view.data]
            cursor = view.next_cursor
            if cursor is None:
                break
            await made(ledger, an_attempt(user_id="u0"), BUSY)
        assert set(seen) >= set(ids)
        assert len(seen) == len(set(seen))


async def test_a_search_that_stops_early_answers_with_a_cursor_that_goes_on(
    ledger: PostgresLedger,  # the fixture
    backend: Backend,
) -> None:
    ids = [await made(ledger, an_attempt(category=f"c{n}"), Sent("twilio")) for n in range(9)]
    for place, id_ in enumerate(ids):
        await accepted_at(ledger, id_, MOMENT + timedelta(seconds=place))
    filters, bounds = Filters(categories=("c0",)), Bounds(0, step=2)
    cursor, pages, found = None, 0, list[UUID]()
    while True:
        view = await page(backend, filters, cursor=cursor, bounds=bounds)
        found += [it.summary.id for it in view.data]
        pages, cursor = pages + 1, view.next_cursor
        if cursor is None:
            break
        assert view.searched_since is not None
    assert found == [ids[0]]
    assert 3 <= pages <= 6


async def test_a_cursor_is_refused_with_other_filters(
    ledger: PostgresLedger,  # the fixture
    backend: Backend,
) -> None:
    for _ in range(2):
        await made(ledger, an_attempt(), Sent("twilio"))
    view = await page(backend, Filters(tenant="default"), limit=1)
    assert view.next_cursor is not None
    with pytest.raises(InvalidRequest, match="with these filters"):
        await page(backend, Filters(tenant="acme"), limit=1, cursor=view.next_cursor)
