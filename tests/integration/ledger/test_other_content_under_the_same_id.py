"""A producer that gives two notifications one id is told so in the history, and nothing is sent twice."""

import json
from dataclasses import replace
from uuid import uuid4

import pytest
from tests.support.attempts import attempt_of, body_of
from tests.support.ledger_rig import LedgerRig, request_of

from tidings.delivery.attempt import Attempt, Message
from tidings.delivery.outcome import Claimed, Finished
from tidings.delivery.states import State
from tidings.ledger.notifications.conflicts import MOST, PUBLISHED_AGAIN
from tidings_events import parse
from tidings_events.routing import Headers


def published(body: bytes, headers: dict[str, object] | None = None, **further: str) -> Attempt:
    """As its producer publishes it; `further` are AMQP properties."""
    message = Message(body, "email.normal", headers or {}, further=further or None)
    return replace(attempt_of(), notification=parse(body), body=body, message=message)


async def notes(ledger: LedgerRig, attempt: Attempt) -> list[str]:
    rows = await ledger.fetch(
        "SELECT before, after, reason FROM transitions WHERE notification_id = $1 ORDER BY id",
        attempt.id,
    )
    assert all(row["before"] == row["after"] for row in rows)
    return [row["reason"] for row in rows]


async def stand(ledger: LedgerRig, attempt: Attempt, changed: str) -> None:
    """Have a notification stand otherwise."""
    statement = f"UPDATE notifications SET {changed} WHERE id = $1"  # noqa: S608  # ours
    await ledger.execute(statement, attempt.id)


async def claim(ledger: LedgerRig, *attempts: Attempt) -> list[object]:
    return list(await ledger.claim(*(request_of(attempt) for attempt in attempts)))


async def test_other_content_is_noted_with_its_hash_and_its_producer_and_not_sent(
    ledger: LedgerRig,
) -> None:
    id = str(uuid4())
    first = published(body_of(id=id))
    other = published(body_of(id=id, subject="Another"), app_id="shop", user_id="guest")
    assert await claim(ledger, first) == [Claimed()]
    assert await claim(ledger, other) == [Finished(State.SENDING)]
    (note,) = await notes(ledger, first)
    assert note.startswith(f"{PUBLISHED_AGAIN} by app_id 'shop', user_id 'guest': sha256 ")
    assert note.endswith("the other content is not sent")
    assert (await ledger.row(first.id))["body"] == first.body


async def test_another_tenant_s_message_with_the_same_id_is_other_content(
    ledger: LedgerRig,
) -> None:
    id = str(uuid4())
    first, other = (published(body_of(id=id, tenant=tenant)) for tenant in ("acme", None))
    assert await claim(ledger, first) == [Claimed()]
    assert await claim(ledger, other) == [Finished(State.SENDING)]
    assert len(await notes(ledger, first)) == 1
    assert (await ledger.row(first.id))["tenant"] == "acme"


async def test_it_is_noted_once_for_each_content_and_producer_and_not_without_end(
    ledger: LedgerRig,
) -> None:
    id = str(uuid4())
    first = published(body_of(id=id))
    await claim(ledger, first)
    other = published(body_of(id=id, subject="Another"))
    for _ in range(3):
        await claim(ledger, other)
    assert len(await notes(ledger, first)) == 1
    for number in range(MOST + 5):
        await claim(ledger, published(body_of(id=id, subject=f"Number {number}")))
    assert len(await notes(ledger, first)) == MOST


async def test_the_same_content_is_no_conflict_however_it_is_written(ledger: LedgerRig) -> None:
    body = body_of(id=str(uuid4()))
    otherwise = json.dumps(dict(reversed(json.loads(body).items())), indent=2).encode()
    await claim(ledger, published(body))
    await claim(ledger, published(body), published(otherwise))
    assert await notes(ledger, published(body)) == []


async def test_what_is_only_written_otherwise_is_claimed_as_what_is_stored(
    ledger: LedgerRig,
) -> None:
    body = body_of(id=str(uuid4()))
    otherwise = json.dumps(dict(reversed(json.loads(body).items())), indent=2).encode()
    first = published(body)
    await claim(ledger, first)
    await stand(ledger, first, QUEUED)
    assert await claim(ledger, published(otherwise)) == [Claimed()]
    assert (await ledger.row(first.id))["body"] == body


QUEUED = "state = 'queued', attempt = 0, lease_holder = NULL, lease_until = NULL"
STANDS = {
    "queued": (QUEUED, {}),
    "scheduled": ("state = 'scheduled', attempt = 0, lease_holder = NULL, lease_until = NULL", {}),
    "being sent": ("state = 'sending'", {}),
    "its worker gone": ("lease_until = now() - interval '1 second'", {}),
    "retrying": ("state = 'retrying', retry_delay = 1, lease_holder = NULL", {}),
    "retrying, as a retry": (
        "state = 'retrying', retry_delay = 1, lease_holder = NULL",
        {Headers.EPOCH: 0, Headers.ATTEMPT: 2},
    ),
    "failed": ("state = 'failed', reason = 'rejected', lease_holder = NULL", {}),
}


@pytest.mark.parametrize("stands", STANDS)
async def test_a_known_id_is_not_taken_over_however_it_stands(
    ledger: LedgerRig, stands: str
) -> None:
    """Nothing is left to do for the other message: the first one is sent, and has a message of its own."""
    id = str(uuid4())
    first = published(body_of(id=id))
    await claim(ledger, first)
    change, headers = STANDS[stands]
    await stand(ledger, first, change)
    before = await ledger.row(first.id)
    other = published(body_of(id=id, subject="Another"), headers)
    if headers:
        other = replace(other, number=2)
    (answer,) = await claim(ledger, other)
    assert isinstance(answer, Finished)
    after = await ledger.row(first.id)
    assert {name: after[name] for name in before} == dict(before)
    (note,) = await notes(ledger, first)
    assert note.endswith("the other content is not sent")


async def test_ours_from_before_an_edit_is_no_conflict(ledger: LedgerRig) -> None:
    id = str(uuid4())
    first = published(body_of(id=id))
    await claim(ledger, first)
    await ledger.execute(
        "UPDATE notifications SET state = 'failed', reason = 'rejected', body = $2 WHERE id = $1",
        first.id,
        body_of(id=id, subject="Edited"),
    )
    stale = published(first.body, {Headers.EPOCH: 0, Headers.ATTEMPT: 1})
    assert await claim(ledger, stale) == [Finished(State.FAILED)]
    assert await notes(ledger, first) == []


async def test_other_content_holds_no_idempotency_key(ledger: LedgerRig) -> None:
    """Else whoever means the same to that person would be taken for its duplicate."""
    id, key = str(uuid4()), f"receipt-{uuid4()}"
    await claim(ledger, published(body_of(id=id)))
    (answer,) = await claim(ledger, published(body_of(id=id, idempotency_key=key)))
    assert isinstance(answer, Finished)
    assert await claim(ledger, published(body_of(idempotency_key=key))) == [Claimed()]
