"""An inbox as Server-Sent Events: the same as on a WebSocket."""

import time
from uuid import uuid4

import aiohttp
import pytest
from tests.support.api_rig import ApiRig
from tests.support.inboxes import delivered
from tests.support.live_clients import streaming
from tests.support.user_tokens import token_of

from tidings.ledger.inbox.messages import InboxUser

pytestmark = pytest.mark.asyncio(loop_scope="module")


def somebody() -> InboxUser:
    return InboxUser("default", f"user-{uuid4()}")


async def test_a_stream_begins_with_the_state_and_goes_on_with_changes(api: ApiRig) -> None:
    user = somebody()
    async with streaming(api.session, token_of(user.user_id)) as client:
        assert client.reply.headers["Content-Type"] == "text/event-stream"
        assert client.reply.headers["X-Accel-Buffering"] == "no"
        assert client.reply.headers["Cache-Control"] == "no-store, no-transform"
        assert await client.next() == {
            "event": "reset",
            "id": "0",
            "data": {"type": "reset", "revision": 0, "counts": {"unread": 0, "unseen": 0}},
        }
        (id_,) = await delivered(
            api.backend.ledger.database, user, {"title": "two\nlines\r\u2028data: x"}
        )
        event = await client.next()
        assert (event["event"], event["id"]) == ("changes", "1")
        (message,) = event["data"]["data"]
        assert (message["id"], message["title"]) == (str(id_), "two\nlines\r\u2028data: x")


async def test_a_stream_resumes_after_the_last_event(api: ApiRig) -> None:
    user = somebody()
    await delivered(api.backend.ledger.database, user, {}, {}, {})
    token = token_of(user.user_id)
    async with streaming(api.session, token, "/v1/inbox/stream?since=1") as client:
        assert [it["revision"] for it in (await client.next())["data"]["data"]] == [2, 3]
    last = {"Last-Event-ID": "2"}
    async with streaming(api.session, token, "/v1/inbox/stream?since=1", **last) as client:
        assert [it["revision"] for it in (await client.next())["data"]["data"]] == [3]


async def test_the_last_event_says_that_the_token_has_expired(api: ApiRig) -> None:
    token = token_of(somebody().user_id, exp=int(time.time()) - 29)
    async with streaming(api.session, token) as client:
        assert (await client.next())["event"] == "reset"
        event = await client.next()
        assert (event["event"], event["data"]["code"]) == ("close", 4410)
        assert await client.reply.content.read() == b""


async def test_a_stream_is_no_request_in_progress_and_counts_once(api: ApiRig) -> None:
    def value(name: str, **labels: str) -> float:
        return api.metrics.registry.get_sample_value(name, labels) or 0.0

    labels = {"route": "/v1/inbox/stream", "method": "GET", "status": "200"}
    before = value("tidings_api_requests_total", **labels)
    async with streaming(api.session, token_of(somebody().user_id)) as client:
        await client.next()
        assert value("tidings_api_requests_in_progress") == 0
        assert value("tidings_api_requests_total", **labels) == before + 1
        assert value("tidings_inbox_connections", kind="sse") == 1
    assert value("tidings_api_requests_total", **labels) == before + 1


async def test_a_stream_without_a_valid_token_is_refused(api: ApiRig) -> None:
    headers = {"Authorization": f"Bearer {token_of('ada', exp=1)}"}
    async with api.session.get("/v1/inbox/stream", headers=headers) as reply:
        assert reply.status == 401
        assert reply.content_type == "application/problem+json"
    with pytest.raises(aiohttp.ClientResponseError):
        async with api.session.get("/v1/inbox/stream", raise_for_status=True):
            pass
