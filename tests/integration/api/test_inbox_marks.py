"""`POST /v1/inbox/read` and its like: marks change what they should, once, and the counts are those of the list."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from tests.integration.api.test_inbox import Inbox
from tests.support.api_rig import ApiRig
from tests.support.inboxes import ACTIONS

from tidings.delivery.inbox import InboxChange
from tidings.ledger.inbox.messages import InboxUser
from tidings.operations.backend import Backend
from tidings.operations.inbox import marking
from tidings.operations.inbox.marking import MarkRequest, MarkVerb

pytestmark = pytest.mark.asyncio(loop_scope="module")

ID = "0198c2f4-5a10-7c3e-9d55-3f6f1a2b4c5d"
SOON = (datetime.now(UTC) + timedelta(days=1)).isoformat()


@pytest_asyncio.fixture(loop_scope="module")
async def inbox(api: ApiRig) -> AsyncIterator[Inbox]:
    """A new user's."""
    yield Inbox(api, InboxUser("default", f"user {uuid4().hex[:8]}"))


async def message(inbox: Inbox, id: str) -> dict[str, Any]:
    answer = await inbox.get(f"/messages/{id}")
    found: dict[str, Any] = answer.data
    return found


@pytest.mark.parametrize(
    ("verb", "more", "column"),
    [
        ("read", {}, "read_at"),
        ("seen", {}, "seen_at"),
        ("archive", {}, "archived_at"),
        ("snooze", {"until": SOON}, "snoozed_until"),
        ("act", {"action": "approve"}, "acted_at"),
        ("delete", {}, "deleted_at"),
    ],
)
async def test_a_mark_is_made_once_and_raises_one_revision_a_message(
    inbox: Inbox, verb: str, more: dict[str, Any], column: str
) -> None:
    ids = await inbox.deliver(*({"actions": ACTIONS} for _ in range(3)))
    first = await inbox.post(verb, ids=ids[:2], **more)
    assert first.status == 200, first.data
    assert (first.data["changed"], first.data["revision"]) == (2, 5)
    again = await inbox.post(verb, ids=ids[:2], **more)
    assert (again.data["changed"], again.data["revision"]) == (0, 5)
    changed = (await inbox.get(since=3)).data["data"]
    assert [(each["id"], each["revision"]) for each in changed] == [(ids[0], 4), (ids[1], 5)]
    assert all(each[column] is not None for each in changed)
    counts = (await inbox.get()).data["counts"]
    assert first.data["counts"] == again.data["counts"] == counts


async def test_reading_is_seeing_and_acting_is_reading(inbox: Inbox) -> None:
    read, acted = await inbox.deliver({}, {"actions": ACTIONS})
    await inbox.post("read", ids=[read])
    await inbox.post("act", ids=[acted], action="reject")
    for id in (read, acted):
        shown = await message(inbox, id)
        assert None not in (shown["read_at"], shown["seen_at"])
    assert (await message(inbox, acted))["action"] == "reject"


async def test_a_mark_is_taken_back(inbox: Inbox) -> None:
    a, b, c = await inbox.deliver({}, {}, {})
    await inbox.post("read", ids=[a])
    assert (await inbox.post("unread", ids=[a, b])).data["counts"] == {"unread": 3, "unseen": 2}
    await inbox.post("archive", ids=[b])
    assert await inbox.ids() == [c, a]
    assert await inbox.ids(archived="true") == [b]
    assert (await inbox.post("unarchive", ids=[b])).data["changed"] == 1
    assert await inbox.ids() == [c, b, a]
    await inbox.post("snooze", ids=[a], until=SOON)
    assert (await inbox.ids(), await inbox.ids(snoozed="true")) == ([c, b], [a])
    await inbox.post("unsnooze", ids=[a])
    assert await inbox.ids() == [a, c, b]  # back on top
    assert (await message(inbox, a))["position"] == (await message(inbox, a))["revision"]


async def test_all_up_to_a_revision_takes_nothing_that_came_later(inbox: Inbox) -> None:
    old = await inbox.deliver({"type": "a"}, {"type": "b"}, {"type": "a"})
    seen = (await inbox.get()).data["revision"]
    late = await inbox.deliver({"type": "a"})
    marked = await inbox.post("read", up_to=seen, filter={"type": ["a"]})
    assert (marked.data["changed"], marked.data["counts"]["unread"]) == (2, 2)
    marked = await inbox.post("read", up_to=seen)
    assert marked.data["changed"] == 1
    assert await inbox.ids(unread="true") == late
    assert (await inbox.post("read", up_to=seen)).data["changed"] == 0
    await inbox.post("archive", up_to=seen)
    assert await inbox.ids() == late
    assert (await inbox.post("unarchive", up_to=seen)).data["changed"] == len(old)


async def test_more_messages_than_one_transaction_changes_are_all_marked(inbox: Inbox) -> None:
    await inbox.deliver(*({} for _ in range(2_001)))
    marked = (await inbox.post("read", up_to=2_001)).data
    assert marked == {"revision": 4_002, "counts": {"unread": 0, "unseen": 0}, "changed": 2_001}
    marked = (await inbox.post("unread", up_to=2_000)).data
    assert (marked["revision"], marked["changed"]) == (6_002, 2_000)


async def test_an_archived_message_that_is_snoozed_comes_back_later(inbox: Inbox) -> None:
    [id] = await inbox.deliver({})
    await inbox.post("archive", ids=[id])
    await inbox.post("snooze", ids=[id], until=SOON)
    assert (await inbox.ids(archived="true"), await inbox.ids(snoozed="true")) == ([], [id])
    await inbox.post("archive", ids=[id])
    shown = await message(inbox, id)
    assert (shown["snoozed_until"], shown["archived_at"] is not None) == (None, True)


@pytest.mark.parametrize(
    ("verb", "body", "at", "says"),
    [
        ("read", {}, "", "name the messages"),
        ("read", {"ids": [ID], "up_to": 1}, "", "name the messages"),
        ("read", {"ids": [ID], "filter": {}}, "/filter", "belongs to `up_to`"),
        ("read", {"ids": []}, "/ids", ""),
        ("read", {"ids": [ID] * 101}, "/ids", ""),
        ("read", {"ids": ["x"]}, "/ids/0", ""),
        ("read", {"up_to": -1}, "/up_to", ""),
        ("read", {"up_to": 2**63}, "/up_to", ""),
        ("read", {"up_to": 1, "filter": {"colour": "red"}}, "/filter/colour", ""),
        (
            "read",
            {"up_to": 1, "filter": {"archived": True, "snoozed": True}},
            "/filter/snoozed",
            "one of the two",
        ),
        ("snooze", {"up_to": 1}, "/until", "missing"),
        ("snooze", {"up_to": 1, "until": "2020-01-01T00:00:00Z"}, "/until", "has passed"),
        ("snooze", {"up_to": 1, "until": "2126-01-01T00:00:00Z"}, "/until", "366 days"),
        ("act", {"up_to": 1}, "/action", "missing"),
    ],
    ids=str,
)
async def test_a_mark_that_makes_no_sense_is_refused(
    inbox: Inbox, verb: str, body: dict[str, Any], at: str, says: str
) -> None:
    answer = await inbox.post(verb, **body)
    assert answer.status == 422
    [fault] = answer.data["errors"]
    assert (fault["pointer"], says in fault["detail"]) == (at, True), fault


async def test_an_action_that_a_message_does_not_have_is_refused_and_nothing_is_changed(
    inbox: Inbox,
) -> None:
    with_actions, without = await inbox.deliver({"actions": ACTIONS}, {})
    answer = await inbox.post("act", ids=[with_actions, without], action="approve")
    assert (answer.status, answer.data["errors"][0]["pointer"]) == (422, "/action")
    assert (await inbox.get(since=0)).data["revision"] == 2
    answer = await inbox.post("act", up_to=2, action="approve")
    assert answer.data["changed"] == 1


class Announced:
    """Keeps what is announced."""

    def __init__(self) -> None:
        self.changes: list[InboxChange] = []

    def announce(self, changes: Sequence[InboxChange]) -> None:
        self.changes += changes


async def test_a_mark_is_announced_if_it_has_changed_something(inbox: Inbox) -> None:
    hints, user = Announced(), inbox.user
    backend = Backend(inbox.api.settings, inbox.api.backend.ledger, inbox_hints=hints)
    [id] = await inbox.deliver({})
    for _ in range(2):
        await marking.mark(backend, MarkRequest(user, MarkVerb.READ, [UUID(id)]))
    assert hints.changes == [InboxChange(user.tenant, user.user_id, 2)]
