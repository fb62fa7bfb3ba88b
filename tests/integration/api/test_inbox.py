"""`GET /v1/inbox` and its like: an end user reads the own inbox."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from tests.support.api_rig import Answer, ApiRig
from tests.support.inboxes import ACTIONS, delivered
from tests.support.user_tokens import token_of

from tidings.ledger.inbox.messages import InboxUser

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Inbox:
    """A user's inbox, and its user."""

    def __init__(self, api: ApiRig, user: InboxUser) -> None:
        self.api = api
        self.user = user
        self.token = token_of(user.user_id, user.tenant)

    async def deliver(self, *messages: dict[str, Any]) -> list[str]:
        ids = await delivered(self.api.backend.ledger.database, self.user, *messages)
        return [str(id) for id in ids]

    async def get(self, path: str = "", **parameters: Any) -> Answer:
        return await self.api.ask("GET", f"/v1/inbox{path}", self.token, params=parameters)

    async def post(self, path: str, **body: Any) -> Answer:
        return await self.api.ask("POST", f"/v1/inbox/{path}", self.token, json=body)

    async def ids(self, path: str = "", **parameters: Any) -> list[str]:
        answer = await self.get(path, **parameters)
        assert answer.status == 200, answer.data
        return [message["id"] for message in answer.data["data"]]


@pytest_asyncio.fixture(loop_scope="module")
async def inbox(api: ApiRig) -> AsyncIterator[Inbox]:
    """A new user's."""
    yield Inbox(api, InboxUser("default", f"user {uuid4().hex[:8]}"))


async def test_a_user_who_never_had_a_message_has_an_empty_inbox(inbox: Inbox) -> None:
    answer = await inbox.get()
    assert answer.data == {
        "data": [],
        "next_cursor": None,
        "revision": 0,
        "counts": {"unread": 0, "unseen": 0},
        "reset": False,
    }
    assert answer.headers["Cache-Control"] == "no-store"
    marked = await inbox.post("read", ids=[str(uuid4())])
    assert marked.data == {"revision": 0, "counts": {"unread": 0, "unseen": 0}, "changed": 0}
    counts = (await inbox.get("/unread-count")).data
    assert counts == {"revision": 0, "unread": 0, "unseen": 0, "by_type": {}, "by_category": {}}
    assert (await inbox.get(since=0)).data["reset"] is False


async def test_messages_are_listed_newest_first_with_their_content(inbox: Inbox) -> None:
    _, id = await inbox.deliver(
        {"title": "Old"},
        {
            "title": "New",
            "body": "Text",
            "data": {"n": 1},
            "actions": ACTIONS,
            "entity_type": "order",
            "entity_id": "7",
            "action_url": "/orders/7",
        },
    )
    answer = await inbox.get()
    new, old = answer.data["data"]
    assert (new["title"], old["title"]) == ("New", "Old")
    assert (new["id"], new["position"], new["revision"]) == (id, 2, 2)
    assert new["data"] == {"n": 1}
    assert new["entity"] == {"type": "order", "id": "7"}
    assert new["actions"] == [{**ACTIONS[0], "url": None}, ACTIONS[1]]
    assert (old["entity"], old["actions"], old["data"]) == (None, [], None)
    assert answer.data["revision"] == 2
    assert answer.data["counts"] == {"unread": 2, "unseen": 2}


async def test_pages_follow_each_other_without_gaps_while_messages_arrive(inbox: Inbox) -> None:
    ids = await inbox.deliver(*({"title": str(n)} for n in range(45)))
    seen: list[str] = []
    cursor: dict[str, Any] = {}
    while True:
        answer = await inbox.get(**cursor)
        seen += [message["id"] for message in answer.data["data"]]
        if (following := answer.data["next_cursor"]) is None:
            break
        cursor = {"cursor": following}
        await inbox.deliver({"title": "late"})
    assert seen == ids[::-1]


async def test_changes_since_a_revision_are_told_oldest_first_and_to_the_end(inbox: Inbox) -> None:
    ids = await inbox.deliver(*({"title": str(n)} for n in range(5)))
    await inbox.post("read", ids=[ids[0]])
    first = (await inbox.get(since=2, limit=2)).data
    assert [message["revision"] for message in first["data"]] == [3, 4]
    assert first["revision"] == 4
    then = (await inbox.get(since=4)).data
    assert [(message["id"], message["revision"]) for message in then["data"]] == [
        (ids[4], 5),
        (ids[0], 6),
    ]
    assert (then["revision"], then["next_cursor"], then["reset"]) == (6, None, False)
    assert (await inbox.get(since=6)).data["data"] == []


async def test_who_knows_less_than_is_kept_or_more_than_there_is_loads_anew(inbox: Inbox) -> None:
    await inbox.deliver({}, {}, {})
    await inbox.api.execute(
        "UPDATE inbox_users SET floor = 2 WHERE user_id = $1", inbox.user.user_id
    )
    for since, reset in ((1, True), (2, False), (3, False), (4, True)):
        answer = await inbox.get(since=since)
        assert answer.data["reset"] is reset
        assert answer.data["revision"] == 3
        assert not (reset and answer.data["data"])


async def test_unread_messages_are_counted_by_type_and_category(inbox: Inbox) -> None:
    ids = await inbox.deliver(
        {"type": "a", "category": "x"},
        {"type": "a", "category": "y"},
        {"type": "b", "category": "x"},
        {"type": "b", "category": "z"},
    )
    await inbox.post("read", ids=ids[3:])
    await inbox.post("seen", ids=ids[:1])
    assert (await inbox.get("/unread-count")).data == {
        "revision": 6,
        "unread": 3,
        "unseen": 2,
        "by_type": {"a": 2, "b": 1},
        "by_category": {"x": 2, "y": 1},
    }


async def test_one_message_is_shown_until_it_is_deleted(inbox: Inbox) -> None:
    [id] = await inbox.deliver({"title": "Hello"})
    shown = await inbox.get(f"/messages/{id}")
    assert shown.data["title"] == "Hello"
    assert (await inbox.get(f"/messages/{UUID(int=1)}")).status == 404
    await inbox.post("delete", ids=[id])
    assert (await inbox.get(f"/messages/{id}")).status == 404
    [deleted] = (await inbox.get(since=1)).data["data"]
    assert deleted["deleted_at"] is not None
    content = ("title", "body", "data", "action_url", "actions", "entity")
    assert [deleted[name] for name in content] == [None] * 6
