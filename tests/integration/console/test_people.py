"""What support staff see of a person: what they got of late, in plain words, and the address in no URL."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from tests.support.attempts import attempt_of
from tests.support.console_rig import ConsoleRig
from tests.support.inboxes import delivered
from tests.support.ledger_rig import LedgerRig, record_of, request_of

from tidings.delivery.attempt import Lane
from tidings.delivery.outcome import Failure, Outcome, Reason, Sent, Undeliverable
from tidings.delivery.states import State
from tidings.ledger.inbox.messages import InboxUser
from tidings.ledger.notifications import search
from tidings.operations import people
from tidings.operations.notifications import Bounds

pytestmark = pytest.mark.asyncio(loop_scope="module")

SENT = Sent("smtp:mail.example.com", "4711", "250")
NO_SUCH_NUMBER = Undeliverable(
    Reason.REJECTED, Failure("rejected", "the recipient's number is unknown", "twilio", "30005")
)
NO_SUCH_MAILBOX = Undeliverable(
    Reason.REJECTED, Failure("rejected", "4711 unk. rcpt.", "smtp:mail.example.com", "550 5.1.1")
)


@pytest_asyncio.fixture(loop_scope="module")
async def rig(console: ConsoleRig) -> AsyncIterator[LedgerRig]:
    """The ledger behind the console."""
    yield LedgerRig(console.api.backend.ledger.database)


def a_tenant() -> str:
    return f"t{uuid4().hex[:8]}"


async def ended(rig: LedgerRig, outcome: Outcome, days_ago: int = 1, **fields: Any) -> UUID:
    seen = datetime.now(UTC) - timedelta(days=days_ago)
    lane = Lane(fields.get("channel", "email"), "normal")
    attempt = replace(attempt_of(first_seen=seen, **fields), lane=lane)
    await rig.claim(request_of(attempt, "t"))
    await rig.records.record([record_of(attempt, "t", outcome)])
    return attempt.id


async def test_all_that_a_user_got_is_told_by_address_across_channels(
    console: ConsoleRig, rig: LedgerRig
) -> None:
    tenant, address = a_tenant(), f"{uuid4().hex[:8]}@example.com"
    user = {"tenant": tenant, "user_id": "ada"}
    mail = await ended(rig, SENT, recipient=address, category="order-confirmation", **user)
    await ended(rig, NO_SUCH_MAILBOX, recipient=address, category="receipt", **user)
    text = {"channel": "sms", "recipient": "+14155550123", "subject": None}
    await ended(rig, NO_SUCH_NUMBER, category="otp", **text, **user)
    await ended(rig, SENT, 31, recipient=address, category="long-ago", **user)
    await ended(rig, SENT, recipient="bob@example.com", category="not-hers", tenant=tenant)
    person = await console.person("read", tenant=tenant)
    page = await person.get("/people")
    page = await person.send("/people", person=f" {address.upper()} ")
    assert page.status == 200
    for words in (
        "Order confirmation by email : sent on",
        "accepted by mail.example.com.",
        "Receipt by email : not delivered , the mailbox does not exist.",
        "OTP by SMS : not delivered , the recipient's number is unknown.",
        "User ada",
        f"tidings who {address.upper()}",
        "/v1/people/search",
    ):
        assert words in page.text.replace("&#39;", "'"), page.text
    assert f'href="/console/notifications/{mail}"' in page.html
    assert "Long ago" not in page.text
    assert "Not hers" not in page.text
    assert "+14155550123" not in page.html
    assert address not in page.path.lower()


async def test_each_search_is_in_the_audit_trail_and_names_nobody(
    console: ConsoleRig, rig: LedgerRig
) -> None:
    tenant, address = a_tenant(), f"{uuid4().hex[:8]}@example.com"
    id_ = await ended(rig, SENT, recipient=address, tenant=tenant)
    person = await console.person("read", tenant=tenant, name=f"sue-{tenant}")
    await person.get("/people")
    page = await person.send("/people", person=address)
    await person.get(page.path.removeprefix("/console"))
    await person.send("/people", person="nobody")
    noted = await console.api.fetch(
        "SELECT action, details FROM operator_actions WHERE actor LIKE $1 AND action <> 'sign in' ORDER BY id",
        f"console sue-{tenant} %",
    )
    assert {row["action"] for row in noted} == {"looked up a person"}
    by_address = {"by": "address", "tenant": tenant, "notifications": 1, "newest": str(id_)}
    by_user = {"by": "user_id", "tenant": tenant, "notifications": 0, "newest": None}
    assert [json.loads(row["details"]) for row in noted] == [by_address, by_address, by_user]


async def test_the_inbox_is_told_with_what_was_read(console: ConsoleRig, rig: LedgerRig) -> None:
    tenant, user = a_tenant(), f"u{uuid4().hex[:8]}"
    seen = {"channel": "in_app", "recipient": user, "title": "Shipped", "subject": None}
    read, unread = [
        await ended(rig, Sent("inbox"), tenant=tenant, category=f"news-{n}", **seen)
        for n in range(2)
    ]
    messages = [{"id": read, "title": "Shipped"}, {"id": unread, "title": "Shipped"}]
    await delivered(rig.database, InboxUser(tenant, user), *messages)
    await rig.execute(
        "UPDATE inbox_messages SET seen_at = now(), read_at = now() WHERE id = $1", read
    )
    person = await console.person("read", tenant=tenant)
    await person.get("/people")
    page = await person.send("/people", person=user)
    assert "1 unread in the inbox, 1 not yet looked at" in page.text
    assert "News 0 in the inbox : put into the inbox" in page.text
    assert page.text.count("UTC , read.") == 1
    assert page.text.count("UTC , not looked at yet.") == 1
    assert "Shipped" not in page.html


async def test_a_person_is_reached_from_a_notification_without_being_revealed(
    console: ConsoleRig, rig: LedgerRig
) -> None:
    tenant, address = a_tenant(), f"{uuid4().hex[:8]}@example.com"
    ids = [await ended(rig, SENT, recipient=address, tenant=tenant) for _ in range(2)]
    person = await console.person("read", tenant=tenant)
    await person.get(f"/notifications/{ids[0]}")
    page = await person.send(f"/notifications/{ids[0]}/person")
    assert page.path.startswith("/console/people/~")
    assert str(ids[1]) in page.html
    assert address not in page.html
    sealed = page.path.removeprefix("/console/people/")
    for path in ("/notifications", "/failures"):  # a value that one page hides no other opens
        elsewhere = await person.get(f"{path}?recipient={sealed}")
        assert address not in elsewhere.html
        assert "was typed in another session" in elsewhere.text.replace("’", "'")
    other = await console.person("read", tenant=a_tenant())
    await other.get("/people")
    assert (await other.send(f"/notifications/{ids[0]}/person")).status == 404
    page = await other.get(page.path.removeprefix("/console"))
    assert (page.status, "looked up in another session" in page.text) == (404, True)
    assert 'name="person"' in page.html  # to type it again


async def test_an_address_of_several_users_asks_which_is_meant(
    console: ConsoleRig, rig: LedgerRig
) -> None:
    tenant, address = a_tenant(), f"{uuid4().hex[:8]}@example.com"
    for user in ("ada", "bob"):
        await ended(rig, SENT, recipient=address, tenant=tenant, user_id=user)
    person = await console.person("read", tenant=tenant)
    await person.get("/people")
    page = await person.send("/people", person=address)
    assert "These are for 2 users" in page.text
    assert 'name="person" value="bob"' in page.html


async def test_nobody_is_told_that_nothing_was_sent_before_all_was_looked_through(
    console: ConsoleRig, rig: LedgerRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant, user = a_tenant(), f"user-{uuid4().hex[:8]}"
    older = await ended(rig, SENT, days_ago=3, tenant=tenant, user_id=user)
    for _ in range(3):
        await ended(rig, SENT, tenant=a_tenant(), user_id=user)
    monkeypatch.setattr(people, "SEARCH", Bounds(patience=0, step=search.SCATTER))
    person = await console.person("read", tenant=tenant)
    await person.get("/people")
    page = await person.send("/people", person=user)
    assert "Nothing was sent" not in page.text
    assert "Nothing was found in the time that a page has" in page.text
    page = await person.send("/notifications/find", add=user)
    assert str(older) in page.html
    monkeypatch.undo()
    page = await person.send("/people", person=user)
    assert str(older) in page.html
    assert "Look through all" not in page.text


async def test_nobody_finds_people_of_another_tenant_or_live_ones_with_a_test_key(
    console: ConsoleRig, rig: LedgerRig
) -> None:
    tenant, address = a_tenant(), f"{uuid4().hex[:8]}@example.com"
    await ended(rig, SENT, recipient=address, tenant=tenant)
    await rig.put(attempt_of(recipient=address, tenant=tenant), State.FAILED)
    for person in (
        await console.person(tenant=a_tenant()),
        await console.person(tenant=tenant, test=True),
    ):
        await person.get("/people")
        page = await person.send("/people", person=address)
        assert "Nothing was sent to this person" in page.text
    assert (await person.send("/people", person=" ")).status == 422
    assert (await person.send("/people", person="a" * 501)).status == 422
