"""An inbox on a WebSocket: what has changed, in order, without a gap."""

from uuid import uuid4

import pytest
from tests.support.api_rig import ApiRig
from tests.support.inboxes import delivered
from tests.support.live_clients import following

from tidings.ledger.inbox.messages import InboxUser

pytestmark = pytest.mark.asyncio(loop_scope="module")


def somebody(tenant: str = "default") -> InboxUser:
    return InboxUser(tenant, f"user-{uuid4()}")


async def test_a_new_client_is_told_to_load_the_lists_and_then_each_change(api: ApiRig) -> None:
    user = somebody()
    async with following(api.api.port, user.user_id) as client:
        assert await client.next() == {
            "type": "reset",
            "revision": 0,
            "counts": {"unread": 0, "unseen": 0},
        }
        (id_,) = await delivered(api.backend.ledger.database, user, {"title": "Hello"})
        frame = await client.next()
        assert (frame["type"], frame["revision"]) == ("changes", 1)
        assert frame["counts"] == {"unread": 1, "unseen": 1}
        assert [(it["id"], it["title"]) for it in frame["data"]] == [(str(id_), "Hello")]


async def test_a_client_that_comes_back_gets_what_it_has_missed(api: ApiRig) -> None:
    user, database = somebody(), api.backend.ledger.database
    ids = await delivered(database, user, *({"title": str(number)} for number in range(3)))
    async with following(api.api.port, user.user_id, since=1) as client:
        frame = await client.next()
        assert (frame["type"], frame["revision"], frame["counts"]["unread"]) == ("changes", 3, 3)
        assert [it["id"] for it in frame["data"]] == [str(id_) for id_ in ids[1:]]
    async with following(api.api.port, user.user_id, since=3) as client:
        frame = await client.next()
        assert (frame["type"], frame["revision"], frame["data"]) == ("changes", 3, [])
