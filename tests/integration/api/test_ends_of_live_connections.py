"""How a live connection ends: with a code that says why, soon, and without harm to others."""

import asyncio
import json
import socket as sockets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from urllib.parse import quote
from uuid import uuid4

import aiohttp
import pytest
from tests.support.api_rig import ApiRig, serving
from tests.support.inboxes import delivered
from tests.support.live_clients import LiveClient, following, socket, streaming
from tests.support.user_tokens import token_of
from tests.support.worker_rig import eventually

from tidings.api.live.protocols import SocketProtocol
from tidings.delivery.errors import LedgerUnavailable
from tidings.inbox import hub
from tidings.inbox.opening import Live
from tidings.ledger import migrate
from tidings.ledger.inbox.messages import InboxUser
from tidings.settings import Settings
from tidings_local.postgres import PostgreSQL

pytestmark = pytest.mark.asyncio(loop_scope="module")

SOON = 28
"""Seconds for which a token that is still accepted may have expired, less two."""


def somebody() -> str:
    return f"user-{uuid4()}"


def closes(api: ApiRig, code: str, kind: str = "websocket") -> float:
    labels = {"kind": kind, "code": code}
    return api.metrics.registry.get_sample_value("tidings_inbox_closes_total", labels) or 0.0


async def test_a_connection_ends_with_its_token_unless_it_is_given_another(api: ApiRig) -> None:
    user, expires = somebody(), int(time.time()) - SOON
    async with (
        following(api.api.port, user, exp=expires) as prolonged,
        following(api.api.port, user, exp=expires) as left_alone,
    ):
        assert (await prolonged.next())["type"] == (await left_alone.next())["type"] == "reset"
        await prolonged.send(type="token", token=token_of(user))
        assert await left_alone.closed() == 4410
        await delivered(api.backend.ledger.database, InboxUser("default", user), {})
        assert (await prolonged.next())["revision"] == 1


async def test_a_silent_connection_is_sent_signs_of_life(
    api: ApiRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "SILENCE", 0.0)
    async with (
        following(api.api.port, somebody()) as client,
        streaming(api.session, token_of(somebody())) as events,
    ):
        assert [(await client.next())["type"] for _ in range(2)] == ["reset", "heartbeat"]
        assert [(await events.next()).get("comment") for _ in range(2)] == [None, "heartbeat"]


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ('{"type":"token","token":"a.b.c"}', 4401),
        ('{"type":"token"}', 4401),
        ('{"type":"start","token":"a.b.c"}', 4400),
        ("hello", 4400),
        (b"hello", 4400),
        ("a" * 20_000, 4400),
        ("a" * 70_000, 1009),
    ],
    ids=["no token", "nothing", "second start", "no JSON", "binary", "long", "too long to be read"],
)
async def test_a_frame_that_is_none_ends_it(api: ApiRig, frame: str | bytes, code: int) -> None:
    async with following(api.api.port, somebody()) as client:
        await client.next()
        await client.connection.send(frame)
        assert await client.closed() == code


async def test_revoking_a_users_tokens_ends_their_connections_in_every_process(
    api: ApiRig,
) -> None:
    user = somebody()
    ticket = (await api.ask("POST", "/v1/inbox/tickets", token_of(user))).data["ticket"]
    async with (
        serving(api.settings) as other,
        following(api.api.port, user) as here,
        following(other.api.port, user) as there,
        streaming(other.session, token_of(user)) as stream,
        following(api.api.port, somebody()) as somebody_else,
    ):
        for client in (here, there, somebody_else):
            await client.next()
        await stream.next()
        path = f"/v1/users/{quote(user)}/revoke-tokens"
        answer = await api.ask("POST", path, await api.key("operate"))
        assert answer.status == 200
        assert [await here.closed(), await there.closed()] == [4403, 4403]
        assert (await stream.next())["data"]["code"] == 4403
        async with following(other.api.port, user, iat=int(time.time()) - 10) as again:
            assert await again.closed() == 4403
        async with socket(api.api.port, f"/v1/inbox/ws?ticket={ticket}") as by_ticket:
            assert await by_ticket.closed() == 4403
        async with asyncio.timeout(5):
            await (await somebody_else.connection.ping())


@asynccontextmanager
async def deaf(port: int, user: str) -> AsyncIterator[Callable[[bytes], Awaitable[None]]]:
    """A client that starts, and then reads nothing more; what it is given, it sends."""
    with sockets.socket() as client:
        client.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, ("127.0.0.1", port))
        await loop.sock_sendall(
            client,
            b"GET /v1/inbox/ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        )
        assert (await loop.sock_recv(client, 1000)).startswith(b"HTTP/1.1 101 ")
        start = json.dumps({"type": "start", "token": token_of(user)}).encode()
        length = len(start).to_bytes(2, "big")
        await loop.sock_sendall(client, b"\x81\xfe" + length + bytes(4) + start)
        yield lambda sent: loop.sock_sendall(client, sent)


async def test_a_client_that_does_not_read_is_dropped_and_nothing_is_queued_for_it(
    api: ApiRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidings.inbox.pump.SLOWEST", 0.5)
    monkeypatch.setattr("tidings.api.live.websocket.FAREWELL", 0.3)
    user, before = InboxUser("default", somebody()), closes(api, "4413")
    hub = live(api).hub
    waiting = []
    async with (
        deaf(api.api.port, user.user_id),
        following(api.api.port, user.user_id) as reader,
        asyncio.timeout(20),
    ):
        await reader.next()
        while closes(api, "4413") == before:
            await delivered(api.backend.ledger.database, user, {"body": "a" * 200_000})
            hub.missed()
            assert (await reader.next())["type"] == "changes"
            waiting.append(max(buffered(api)))
        assert hub.count("websocket") == 1
    assert 0 < max(waiting) < 300_000  # one frame, whatever has changed since
    assert len(waiting) > 3


async def test_answers_to_pings_are_not_queued_for_a_client_that_does_not_read(
    api: ApiRig,
) -> None:
    waiting, ping = [], b"\x89\xfd" + bytes(4 + 125)
    async with deaf(api.api.port, somebody()) as send, asyncio.timeout(20):
        for _ in range(60):
            await send(ping * 1_000)
            waiting.append(max(buffered(api)))
    assert 0 < max(waiting) < 500_000  # of nearly 8 MB


async def test_parts_of_a_message_without_content_are_not_kept(api: ApiRig) -> None:
    start, nothing, part = b"\x01\x81", b"\x00\x80" + bytes(4), b"\x00\x81"
    async with deaf(api.api.port, somebody()) as send, asyncio.timeout(20):
        await send(start + bytes(4) + b"a" + nothing * 20_000 + part + bytes(4) + b"b")
        (connection,) = sockets_of(api)
        await eventually(lambda: connection.frames[-1:] == [b"b"])
        assert len(connection.frames) == 2


async def test_an_unread_stream_is_cut(api: ApiRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidings.inbox.pump.SLOWEST", 0.3)
    monkeypatch.setattr("tidings.api.live.stream.FAREWELL", 0.3)
    # Two of these messages in one look would be a reset, which is small.
    monkeypatch.setattr("tidings.inbox.hub.BETWEEN_LOOKS", 0)
    user, before = InboxUser("default", somebody()), closes(api, "4413", "sse")
    with sockets.socket() as client:
        client.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", api.api.port))
        head = "GET /v1/inbox/stream HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer"
        client.sendall(f"{head} {token_of(user.user_id)}\r\n\r\n".encode())

        async def cut() -> bool:
            await delivered(api.backend.ledger.database, user, {"body": "a" * 200_000})
            live(api).hub.missed()
            return closes(api, "4413", "sse") == before + 1

        await eventually(cut)
        assert live(api).hub.count("sse") == 0


def live(api: ApiRig) -> Live:
    assert api.api.live is not None
    return api.api.live


def sockets_of(api: ApiRig) -> list[SocketProtocol]:
    """The WebSockets of the process."""
    assert api.api._server is not None
    open_ = api.api._server.server_state.connections
    return [it for it in open_ if isinstance(it, SocketProtocol)]


def buffered(api: ApiRig) -> list[int]:
    """Bytes that wait in the process for each WebSocket."""
    return [it.transport.get_write_buffer_size() for it in sockets_of(api)]


async def test_without_postgresql_connections_stay_and_catch_up_and_new_ones_wait(
    own_postgresql: PostgreSQL, environment: pytest.MonkeyPatch
) -> None:
    await migrate(own_postgresql.url())
    environment.setenv("TIDINGS_DATABASE_URL", own_postgresql.url())
    async with serving(Settings()) as api, following(api.api.port, "ada") as client:
        await client.next()
        own_postgresql.kill()
        try:
            async with following(api.api.port, "bob") as other:
                assert await other.closed() == 1013
            answer = await api.ask("GET", "/v1/inbox/stream", token_of("bob"))
            assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
        finally:
            own_postgresql.start()

        async def stored() -> bool:
            with suppress(LedgerUnavailable):
                await delivered(api.backend.ledger.database, InboxUser("default", "ada"), {})
                return True
            return False

        await eventually(stored)
        assert (await client.next())["data"][0]["title"] == "Hello"
        async with following(api.api.port, "bob") as other:
            assert (await other.next())["type"] == "reset"


async def test_a_process_that_stops_says_so_to_all_and_lets_nobody_in(
    environment: pytest.MonkeyPatch,
) -> None:
    async with AsyncExitStack() as clients:
        everyone: list[LiveClient] = []
        async with serving(Settings()) as api:
            port = api.api.port
            for number in range(30):
                client = await clients.enter_async_context(following(port, f"user-{number}"))
                await client.next()
                everyone.append(client)
            silent = await clients.enter_async_context(socket(port))  # it has not started
            session = await clients.enter_async_context(
                aiohttp.ClientSession(f"http://127.0.0.1:{port}")
            )
            stream = await clients.enter_async_context(streaming(session, token_of("ada")))
            await stream.next()
            began = time.monotonic()
        assert time.monotonic() - began < 5
        assert {await client.closed() for client in everyone} == {1012}
        assert await silent.closed() == 1012
        assert (await stream.next())["data"]["code"] == 1012
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


async def test_a_process_with_many_connections_takes_its_time_to_close_them(
    environment: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidings.inbox.hub.CLOSED_A_SECOND", 40)
    async with AsyncExitStack() as clients:
        async with serving(Settings()) as api:
            for number in range(60):
                client = await clients.enter_async_context(
                    following(api.api.port, f"user-{number}")
                )
                await client.next()
            began = time.monotonic()
        assert 1 <= time.monotonic() - began < 5
