"""Faults of webhook receivers: some answer without end, some not at all, among good ones."""

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, islice
from time import time
from typing import Final, cast
from uuid import UUID

from tests.chaos.bad_receivers import behaving
from tests.chaos.load import Item
from tests.chaos.memory import MIB, memory
from tests.chaos.roles import Role
from tests.chaos.scenario import scenario
from tests.chaos.sink import Sink
from tests.chaos.verdict import Expectations
from tests.chaos.world import World

SETTINGS: Final = {
    "TIDINGS_WEBHOOK_SECRET": "whsec_" + base64.b64encode(b"chaos" * 6).decode(),
    "TIDINGS_WEBHOOK_ALLOW_PRIVATE": "true",
    "TIDINGS_WEBHOOK_SEND_TIMEOUT": "10s",
    "TIDINGS_WEBHOOK_RETRY": "5s 10s",
}
GIVEN_UP: Final = frozenset({"failed", "unknown"})
ENDS: Final = {
    "hook": frozenset({"sent"}),
    "slow": frozenset({"sent"}),
    "new": frozenset({"sent"}),
    "flood": GIVEN_UP,
    "tarpit": GIVEN_UP,
}
RATE: Final = 50.0
"""Webhooks a second to the good receiver."""
SLOW: Final = (0.7, 4.0)
"""Seconds that a slow receiver takes to answer."""
FAST: Final = 50 / (sum(SLOW) / 2)
"""Webhooks a second to it from as many places as a channel has."""
HEALTH: Final = 1.0
"""Seconds within which a worker says that it is well."""
SWELLING: Final = 64 * MIB
"""Bytes by which a worker may grow beside those that answer without end."""
FIRST: Final = 2.0
"""Seconds within which the first webhook to a new receiver is sent: sooner than anything comes out of a retry queue."""
LITTLE: Final = 0.2
"""Seconds that a webhook may take whatever it took before: on two processors that have other things to do less is
noise."""
LOOKED_AT: Final = 2.0
"""Seconds that it may take where a burst is in front of it, each of which is looked at and put off."""
KEY: Final = re.compile(rb"webhook-id: msg_([0-9a-f-]{36})_(\d+)", re.IGNORECASE)


@dataclass
class GoodReceiver:
    """Takes webhooks and answers each, at once unless told otherwise."""

    sink: Sink
    pause: Callable[[], float] = lambda: 0.0
    """Seconds until it answers."""
    urls: list[str] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    """Seconds from the publishing of each until it came."""

    @asynccontextmanager
    async def listening(self, count: int = 1) -> AsyncIterator["GoodReceiver"]:
        """Reachable at so many `urls`."""
        loop = asyncio.get_running_loop()
        servers = [
            await loop.create_server(lambda: _Taking(self), "127.0.0.1", 0) for _ in range(count)
        ]
        self.urls = [f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}" for server in servers]
        try:
            yield self
        finally:
            for server in servers:
                server.close()

    def take(self, head: bytes, body: bytes) -> None:
        """Note one."""
        match = KEY.search(head)
        assert match is not None, "a webhook without an id"
        self.took.append(time() - json.loads(body)["data"]["at"])
        self.sink.take(f"{match[1].decode()}.{match[2].decode()}")


class _Taking(asyncio.Protocol):
    def __init__(self, receiver: GoodReceiver) -> None:
        self._receiver = receiver
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        size = int(length[1]) if length else 0
        if found and len(body) >= size:
            self._buffer = body[size:]
            self._receiver.take(head, body[:size])
            asyncio.get_running_loop().call_later(self._receiver.pause(), self._answer)

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")


def webhooks(made: World, kind: str, urls: Sequence[str]) -> Iterator[Item]:
    """Without end, to these receivers in turn, each to a path of its own."""
    for url in cycle(urls):
        id = UUID(int=made.random.getrandbits(128), version=4)
        body = {
            "id": str(id),
            "version": 1,
            "channel": "webhook",
            "recipient": f"{url}/{id.hex[:8]}",
            "event_type": "order.paid",
            "payload": {"at": time()},
        }
        yield Item(id, kind, "webhook.normal", json.dumps(body).encode())


@dataclass
class Watch:
    """What is seen of a worker meanwhile."""

    health: list[float] = field(default_factory=list)
    """Seconds that each `/healthz` took."""
    before: int = 0
    """Bytes that it took at first."""
    peak: int = 0

    @asynccontextmanager
    async def over(self, role: Role) -> AsyncIterator["Watch"]:
        """Look at this worker all the time."""
        self.before = memory(role.pid, "VmRSS")
        looking = asyncio.create_task(self._look(role))
        try:
            yield self
        finally:
            looking.cancel()
            self.peak = memory(role.pid, "VmHWM")

    async def _look(self, role: Role) -> None:
        while True:
            began = time()
            try:
                async with asyncio.timeout(60):
                    reader, writer = await asyncio.open_connection("127.0.0.1", role.port)
                    writer.write(b"GET /healthz HTTP/1.0\r\n\r\n")
                    await reader.read()
                    writer.close()
            finally:
                self.health.append(time() - began)
            await asyncio.sleep(0.1)


def share(seconds: Sequence[float], part: float) -> float:
    """The time within which this part of them came."""
    return sorted(seconds)[min(len(seconds) - 1, int(part * len(seconds)))]


@scenario(
    30,
    "endless-replies",
    "webhook receivers that answer 100 Continue for ever, among good ones",
    "P, C, memory",
    count=210,
    mutant="endless-replies",
)
async def endless_replies(made: World) -> Expectations | None:
    """They take neither a worker's memory nor its time."""
    made.env["TIDINGS_WEBHOOK_RETRY"] = "1s 2s"
    await _beside(made, "flood", 1, count=made.options.count // 21, rate=None, swelling=SWELLING)
    return Expectations(ends=ENDS, duplicates=0)


@scenario(
    31,
    "tarpits",
    "fifty webhooks a second to receivers that never answer, one of them and many, among good ones",
    "P, C",
    count=1500,
    mutant="receivers-alike",
    patience=240,
)
async def tarpits(made: World) -> Expectations | None:
    """What they don't answer keeps nobody else waiting."""
    await _beside(
        made, "tarpit", 200, count=made.options.count // 3, rate=RATE, new=made.options.count // 30
    )
    return Expectations(ends=ENDS, duplicates=0)


@scenario(
    37,
    "slow-receiver",
    "a burst of webhooks to a receiver that answers well and slowly, then good ones beside it",
    "P, C",
    count=1200,
    mutant="slow-ones-pause",
    patience=180,
)
async def slow_receiver(made: World) -> Expectations | None:
    """Alone, it gets as many at once as a channel has places; others are sent as if it were not there."""
    made.env = SETTINGS | made.env
    made.load.tasks = 1
    beside = made.options.count // 12
    count = made.options.count - 2 * beside
    slow = GoodReceiver(made.sink, lambda: made.random.uniform(*SLOW))
    async with slow.listening(), GoodReceiver(made.sink).listening() as good:
        await made.start_roles(workers=1)
        hooks = webhooks(made, "hook", good.urls)
        await _publish(made, hooks, beside, RATE)
        await made.until(lambda: len(good.took) >= beside, "good ones alone", 60)
        alone, good.took = good.took, []
        made.fault(f"{count} webhooks to a slow receiver")
        began = time()
        await _publish(made, webhooks(made, "slow", slow.urls), count, None)
        await made.until(partial(_looked_at, made), "all of them looked at", 60)
        async with Watch().over(made.workers[0]) as watch:
            await _publish(made, hooks, beside, RATE)
            await made.until(lambda: len(good.took) >= beside, "good ones beside it", 60)
        await made.until(lambda: len(slow.took) >= count, "all to the slow one", 240)
        rate = count / (time() - began)
        made.notes.append(f"{rate:.0f}/s to the slow receiver, to which {FAST:.0f}/s went once")
        _judge(made, alone, good.took, watch, little=LOOKED_AT)
        await made.until(made.nothing_left, "every webhook ended", 60)
    assert rate >= FAST / made.options.patience, made.notes[0]
    return Expectations(ends=ENDS, duplicates=0)


async def _looked_at(made: World) -> bool:
    """Whether a worker has seen whatever was published so far."""
    rows = await made.fetch("SELECT count(*) AS n FROM notifications")
    return bool(rows[0]["n"] >= made.load.confirmed)


async def _beside(
    made: World,
    kind: str,
    receivers: int,
    *,
    count: int,
    rate: float | None,
    swelling: int = 0,
    new: int = 0,
) -> None:
    """Good webhooks alone, and then among so many that go to bad receivers.

    Args:
        new: Good receivers that get their first webhook then, one each.
    """
    made.env = SETTINGS | made.env
    made.load.tasks = 1  # each is written when it is published
    half = (made.options.count - count) // 2
    fresh = GoodReceiver(made.sink)
    async with (
        GoodReceiver(made.sink).listening() as good,
        fresh.listening(new),
        behaving(kind, receivers) as urls,
    ):
        await made.start_roles(workers=1)
        hooks, bad = webhooks(made, "hook", good.urls), webhooks(made, kind, _mixed(urls))
        await _publish(made, hooks, half, RATE)
        await made.until(lambda: len(good.took) >= half, "the first half", 60)
        alone, good.took = good.took, []
        async with Watch().over(made.workers[0]) as watch, asyncio.TaskGroup() as publishing:
            made.fault(f"{count} webhooks to bad receivers")
            publishing.create_task(_publish(made, bad, count, rate))
            if new:
                first = webhooks(made, "new", fresh.urls)
                publishing.create_task(_publish(made, first, new, new / (half / RATE)))
            await _publish(made, hooks, half, RATE)
            await made.until(lambda: len(good.took) >= half, "the second half", 240)
        _judge(made, alone, good.took, watch, swelling)
        if new:
            await made.until(lambda: len(fresh.took) >= new, "first webhooks", 300)
            longest = max(fresh.took)
            made.notes.append(
                f"new receivers: p50 {share(fresh.took, 0.5):.3f} s, at most {longest:.3f} s"
            )
            assert longest <= FIRST * made.options.patience, made.notes[-1]
        await made.until(made.nothing_left, "every webhook ended", 240)


async def _publish(made: World, items: Iterator[Item], count: int, rate: float | None) -> None:
    began = time()
    for number in range(count):
        if rate is not None:
            await asyncio.sleep(max(0, began + number / rate - time()))
        await made.load.publish(islice(items, 1))


def _mixed(urls: Sequence[str]) -> Sequence[str]:
    """Half of all to the first, half to the others."""
    return [url for other in urls[1:] or urls for url in (urls[0], other)]


def _judge(
    made: World,
    alone: Sequence[float],
    beside: Sequence[float],
    watch: Watch,
    swelling: int = 0,
    little: float = LITTLE,
) -> None:
    grown, slow = watch.peak - watch.before, max(watch.health)
    for name, took in (("alone", alone), ("beside bad ones", beside)):
        made.notes.append(f"{name}: p50 {share(took, 0.5):.3f} s, p99 {share(took, 0.99):.3f} s")
    made.notes.append(f"grew by {grown // MIB} MiB to {watch.peak // MIB}, /healthz {slow:.2f} s")
    patience = made.options.patience
    wrong = []
    if (p99 := share(beside, 0.99)) > (limit := max(2 * share(alone, 0.99), little) * patience):
        wrong.append(f"a neighbour in a hundred took {p99:.2f} s, more than {limit:.2f}")
    if slow > HEALTH * patience:
        wrong.append(f"/healthz took {slow:.2f} s")
    if swelling and grown > swelling:
        wrong.append(f"a worker grew by {grown // MIB} MiB")
    assert not wrong, "; ".join(wrong)
