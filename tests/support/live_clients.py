"""Clients of live connections, of the kind that people use."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
from tests.support.user_tokens import token_of
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

WITHIN = 10.0


class LiveClient:
    """A WebSocket, and what came by it."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.revision: int | None = None

    async def send(self, **frame: Any) -> None:
        """Send a frame."""
        await self.connection.send(json.dumps(frame))

    async def next(self) -> dict[str, Any]:
        """The next frame; each has a higher revision than the one before."""
        async with asyncio.timeout(WITHIN):
            frame: dict[str, Any] = json.loads(await self.connection.recv())
        if "revision" in frame:
            assert self.revision is None or frame["revision"] > self.revision
            self.revision = frame["revision"]
        return frame

    async def closed(self) -> int | None:
        """The code with which the server closes the connection, whatever it sends before."""
        async with asyncio.timeout(WITHIN):
            try:
                while True:
                    await self.connection.recv()
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else None


@asynccontextmanager
async def socket(port: int, path: str = "/v1/inbox/ws", **how: Any) -> AsyncIterator[LiveClient]:
    """A connection that has said nothing."""
    async with connect(f"ws://127.0.0.1:{port}{path}", compression=None, **how) as connection:
        yield LiveClient(connection)


@asynccontextmanager
async def following(
    port: int, user: str, tenant: str = "default", since: int | None = None, **claims: Any
) -> AsyncIterator[LiveClient]:
    """A connection of a user, started."""
    async with socket(port) as client:
        start = {"token": token_of(user, tenant, **claims)}
        with suppress(ConnectionClosed):  # it may be full: the code says so
            await client.send(type="start", **start, **({} if since is None else {"since": since}))
        yield client


class EventClient:
    """A stream of events, and what came by it."""

    def __init__(self, reply: aiohttp.ClientResponse) -> None:
        self.reply = reply

    async def next(self) -> dict[str, Any]:
        """The next event: its fields, `data` read as JSON; a comment as `comment`."""
        event: dict[str, Any] = {}
        async with asyncio.timeout(WITHIN):
            while line := (await self.reply.content.readline()).decode().rstrip("\n"):
                name, _, value = line.partition(": ")
                event[name or "comment"] = value
        if "data" in event:
            event["data"] = json.loads(event["data"])
        return event


@asynccontextmanager
async def streaming(
    session: aiohttp.ClientSession, token: str, path: str = "/v1/inbox/stream", **headers: str
) -> AsyncIterator[EventClient]:
    """A stream with this token."""
    sent = {"Authorization": f"Bearer {token}", **headers}
    async with session.get(path, headers=sent) as reply:
        yield EventClient(reply)
