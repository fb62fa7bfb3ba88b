"""Clients that follow inboxes over whatever process answers: by WebSocket, by Server-Sent Events, or by asking again and again.

Each keeps a full copy (`inbox_copy`), holds what it sees against what others saw (`inbox_facts`), and comes back whatever happens to
its connection.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

import aiohttp
from tests.support.inbox_copy import LISTS, InboxCopy, ProtocolBroken, check
from tests.support.inbox_facts import Facts, Owner
from tests.support.user_tokens import token_of

GONE: Final = (aiohttp.ClientError, OSError, TimeoutError, EOFError)
"""A process was killed, or its reply did not come."""
PATIENCE: Final = aiohttp.ClientTimeout(total=20.0)
RETURN: Final = 0.3
"""Seconds after which a client connects again, at most; a real one is more patient."""
COMES_BACK: Final = frozenset({1000, 1006, 1012, 1013, 4413})
"""Codes after which a client connects again; any other would be a mistake of its own."""
SINCE_LIMIT: Final = 40


@dataclass
class Net:
    """How clients reach the API.

    Args:
        addresses: Of the processes that there are now, dead ones among them.
        facts: What all clients see.
        draw: Decides which way they take.
    """

    session: aiohttp.ClientSession
    addresses: Callable[[], Sequence[str]]
    facts: Facts
    draw: random.Random

    def address(self) -> str:
        """One of them."""
        return self.draw.choice(self.addresses())

    async def ask(
        self, owner: Owner, method: str, path: str, *, token: str | None = None, **how: Any
    ) -> tuple[int, Any]:
        """A request of a user, to any process: status and JSON. Raises what `GONE` has."""
        headers = {"Authorization": f"Bearer {token or token_of(owner.user_id, owner.tenant)}"}
        url = f"{self.address()}{path}"
        async with self.session.request(
            method, url, headers=headers, timeout=PATIENCE, **how
        ) as reply:
            return reply.status, await reply.json(content_type=None)

    async def insist(self, owner: Owner, method: str, path: str, **how: Any) -> Any:
        """The same until it is answered; 503 is no answer."""
        while True:
            with suppress(*GONE):
                status, reply = await self.ask(owner, method, path, **how)
                if status != 503:
                    check(status in {200, 201}, f"{method} {path} of {owner}: {status} {reply}")
                    return reply
            await asyncio.sleep(0.1)


@dataclass
class Follower:
    """A client. `run` never returns, and raises `ProtocolBroken`."""

    net: Net
    owner: Owner
    name: str
    copy: InboxCopy = field(default_factory=InboxCopy)
    asleep: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while the client reads nothing, or is not connected."""
    connections: int = 0
    resets: int = 0
    connected: bool = False
    _loading: asyncio.Task[None] | None = None
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Follow."""
        self._woken.set()
        try:
            while True:
                await self._woken.wait()
                with suppress(*GONE):
                    await self._connect()
                self.connected = False
                self._raise()
                await asyncio.sleep(self.net.draw.uniform(0, RETURN))
        except ProtocolBroken as broken:
            broken.add_note(self.net.facts.history(self.owner, broken))
            raise
        finally:
            await self._stop_loading()

    async def sleep(self, seconds: float) -> None:
        """See nothing for a time."""
        self._woken.clear()
        self.asleep.set()
        await asyncio.sleep(seconds)
        self.asleep.clear()
        self._woken.set()

    @property
    def idle(self) -> bool:
        """Whether it has all that it was ever told to load."""
        return self.copy.complete

    async def _connect(self) -> None:
        raise NotImplementedError

    def _resume(self) -> int | None:
        """`since` of the next connection."""
        return self.copy.revision

    def _took(self, frame: Mapping[str, Any], *, first: bool) -> None:
        """A frame with a revision has come."""
        facts, known = self.net.facts, self.copy.revision
        changed = [message["id"] for message in frame.get("data", ())]
        facts.note(
            self.owner,
            self.name,
            f"{frame['type']} {known} > {frame['revision']} {frame['counts']} {_brief(frame)}",
            iter(changed),
        )
        facts.reply(self.owner, frame, self.name)
        take = self.copy.begins if first else self.copy.frame
        if take(frame):
            self._load()

    def _load(self) -> None:
        self.resets += 1
        before = self._loading
        if before is not None:
            before.cancel()  # at once: a last page that has come already is not one of the new lists
        self._loading = asyncio.create_task(self._loaded(before), name=f"load {self.name}")

    async def _loaded(self, before: asyncio.Task[None] | None) -> None:
        """Every page of the three lists, from whatever process."""
        if before is not None:
            await asyncio.wait([before])
        for shown in LISTS:
            cursor: dict[str, str] = {}
            while True:
                query = {**shown, **cursor, "limit": str(self.net.draw.choice((7, 40, 100)))}
                reply = await self.net.insist(self.owner, "GET", "/v1/inbox", params=query)
                self.net.facts.reply(self.owner, reply, self.name)
                self.copy.page(reply, shown)
                if reply["next_cursor"] is None:
                    break
                cursor = {"cursor": reply["next_cursor"]}
        self.copy.loaded()

    def _raise(self) -> None:
        """What went wrong while the lists were loaded."""
        if self._loading is not None and self._loading.done() and not self._loading.cancelled():
            self._loading.result()

    async def _stop_loading(self) -> None:
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.wait([self._loading])


class SocketFollower(Follower):
    """A client with a WebSocket, which says in every way that there is who it is."""

    async def _connect(self) -> None:
        since, url, headers, start = self._resume(), "/v1/inbox/ws", {}, None
        known: dict[str, Any] = {} if since is None else {"since": since}
        token = token_of(self.owner.user_id, self.owner.tenant)
        match self.net.draw.randrange(4):
            case 0:
                start = {"type": "start", "token": token, **known}
            case 1:
                start = {"type": "start", "ticket": await self._ticket(), **known}
            case 2:
                headers = {"Authorization": f"Bearer {token}"}
                url += "" if since is None else f"?since={since}"
            case _:
                url += f"?ticket={await self._ticket()}"
                url += "" if since is None else f"&since={since}"
        async with self.net.session.ws_connect(
            self.net.address() + url, headers=headers, timeout=aiohttp.ClientWSTimeout(ws_close=1.0)
        ) as socket:
            if start is not None:
                await socket.send_json(start)
            await self._read(socket)

    async def _ticket(self) -> str:
        status, reply = await self.net.ask(self.owner, "POST", "/v1/inbox/tickets")
        if status == 503:
            raise TimeoutError
        check(status == 201, f"no ticket: {status} {reply}")
        return str(reply["ticket"])

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        first = True
        async for text in _unless_asleep(socket, self.asleep):
            self._raise()
            frame = json.loads(text)
            if frame["type"] != "heartbeat":
                self._took(frame, first=first)
                self.connections += first
                self.connected, first = True, False
        if not self.asleep.is_set():
            code = 1006 if socket.close_code is None else socket.close_code
            self.net.facts.note(self.owner, self.name, f"closed with {code}")
            check(code in COMES_BACK, f"{self.name} of {self.owner} was closed with {code}")


async def _unless_asleep(
    socket: aiohttp.ClientWebSocketResponse, asleep: asyncio.Event
) -> AsyncIterator[str]:
    """What comes, until the connection ends or the client falls asleep, which it does without a word."""
    fallen = asyncio.create_task(asleep.wait())
    try:
        while True:
            coming = asyncio.create_task(socket.receive())
            await asyncio.wait([coming, fallen], return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                coming.cancel()
                await asyncio.wait([coming])
                return
            if (message := coming.result()).type is not aiohttp.WSMsgType.TEXT:
                return
            yield message.data
    finally:
        fallen.cancel()
        await asyncio.wait([fallen])


class StreamFollower(Follower):
    """A client that reads events."""

    async def _connect(self) -> None:
        since = self._resume()
        headers = {
            "Authorization": f"Bearer {token_of(self.owner.user_id, self.owner.tenant)}",
        }
        url = "/v1/inbox/stream"
        if since is not None and self.net.draw.random() < 0.5:
            headers["Last-Event-ID"] = str(since)
        elif since is not None:
            url += f"?since={since}"
        async with self.net.session.get(
            self.net.address() + url,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=None, sock_read=60),
            read_bufsize=1 << 20,
        ) as reply:
            if reply.status == 503:
                return
            check(reply.status == 200, f"{self.name} of {self.owner}: {reply.status}")
            await self._read(reply)

    async def _read(self, reply: aiohttp.ClientResponse) -> None:
        first, event = True, {}
        while not self.asleep.is_set():
            self._raise()
            try:
                async with asyncio.timeout(0.5):  # then it looks whether it is asleep
                    line = (await reply.content.readline()).decode()
            except TimeoutError:
                continue
            if not line:
                return
            if line != "\n":
                name, _, value = line.rstrip("\n").partition(": ")
                event[name] = value
                continue
            if event.get("event") == "close":
                code = json.loads(event["data"])["code"]
                check(code in COMES_BACK, f"{self.name} of {self.owner} was closed with {code}")
                return
            if "event" in event:  # and no comment
                frame = json.loads(event["data"])
                check(
                    (event["event"], event["id"]) == (frame["type"], str(frame["revision"])),
                    f"{self.name}: {event}",
                )
                self._took(frame, first=first)
                self.connections += first
                self.connected, first = True, False
            event = {}


class AskingFollower(Follower):
    """A client without a connection: it asks for what has changed."""

    async def _connect(self) -> None:
        self.connected = True
        for number in count():
            if self.asleep.is_set():
                return
            self._raise()
            since = self.copy.revision
            if since is None or (self.copy.loading and self._loading is None):
                reply = await self.net.insist(self.owner, "GET", "/v1/inbox")
                self.copy.reset(reply["revision"])
                self._load()
                continue
            self.connections += number == 0
            query = {"since": str(since), "limit": str(SINCE_LIMIT)}
            status, reply = await self.net.ask(self.owner, "GET", "/v1/inbox", params=query)
            if status == 503:
                return
            check(status == 200, f"{self.name} of {self.owner}: {status} {reply}")
            self._asked(since, reply)

            if not reply["data"]:
                await asyncio.sleep(self.net.draw.uniform(0.1, 0.4))

    def _asked(self, since: int, reply: Mapping[str, Any]) -> None:
        facts = self.net.facts
        changed = (message["id"] for message in reply["data"])
        if reply["data"] or reply["reset"]:
            facts.note(self.owner, self.name, f"asked {since}: {_brief(reply)}", changed)
        for message in reply["data"]:
            facts.message(self.owner, message, self.name)
        whole = len(reply["data"]) < SINCE_LIMIT
        if whole:
            facts.counts(self.owner, reply["revision"], reply["counts"], self.name)
        self.copy.since(reply, SINCE_LIMIT)
        if reply["reset"]:
            self._load()


def _brief(frame: Mapping[str, Any]) -> str:
    """The messages of a frame: id, revision, and what is set of them."""
    marks = ("seen_at", "read_at", "archived_at", "snoozed_until", "acted_at", "deleted_at")
    return " ".join(
        f"{message['id'][:8]}@{message['revision']}"
        f"[{''.join(mark[0] for mark in marks if message[mark])}]"
        for message in frame.get("data", ())
    )
