"""A live connection that has ended leaves nothing in memory, even if Python never collects garbage."""

import gc
from collections import Counter
from collections.abc import Awaitable, Callable
from uuid import uuid4

import aiohttp
import pytest
from tests.support.api_rig import ApiRig
from tests.support.user_tokens import token_of
from tests.support.worker_rig import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

TIMES = 20


async def on_a_websocket(api: ApiRig) -> None:
    async with api.session.ws_connect("/v1/inbox/ws") as client:
        await client.send_json({"type": "start", "token": token_of(f"user-{uuid4()}")})
        assert (await client.receive_json())["type"] == "reset"


async def refused(api: ApiRig) -> None:
    async with api.session.ws_connect("/v1/inbox/ws") as client:
        await client.send_json({"type": "start", "token": "a.b.c"})
        assert (await client.receive()).data == 4401


async def on_a_stream(api: ApiRig) -> None:
    headers = {"Authorization": f"Bearer {token_of(f'user-{uuid4()}')}"}
    async with aiohttp.ClientSession(api.session._base_url) as session:  # noqa: SIM117  # it ends first
        async with session.get("/v1/inbox/stream", headers=headers) as reply:
            await reply.content.readline()


@pytest.mark.parametrize("connection", [on_a_websocket, refused, on_a_stream])
async def test_a_connection_that_has_ended_leaves_no_cycle(
    api: ApiRig, connection: Callable[[ApiRig], Awaitable[None]]
) -> None:
    await connection(api)
    await ended(api)
    gc.collect()
    gc.disable()
    try:
        for _ in range(TIMES):
            await connection(api)
        await ended(api)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        left = Counter(
            type(it).__module__.partition(".")[0] + "." + type(it).__qualname__ for it in gc.garbage
        )
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    ours = {name: count for name, count in left.items() if count >= TIMES}
    assert not any(
        name.startswith(("uvicorn", "websockets", "tidings", "httptools")) for name in ours
    ), ours


async def ended(api: ApiRig) -> None:
    """All connections are gone."""

    def none() -> bool:
        assert api.api.live is not None
        return all(api.api.live.hub.count(kind) == 0 for kind in ("websocket", "sse"))

    await eventually(none)
