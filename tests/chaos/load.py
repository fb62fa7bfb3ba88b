"""The producers: publish notifications until each is confirmed, and keep a journal of exactly those.

The journal has a line for each confirmed notification: its id, its kind, and what goes with it.
It is written when the confirm has come, so that what it names is what a producer was promised.
"""

import asyncio
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import time
from typing import Any, Final
from uuid import UUID, uuid4

import aiormq
from aiormq.abc import AbstractChannel, AbstractConnection

EXCHANGE: Final = "tidings.notifications"
TROUBLE: Final = (
    OSError,
    TimeoutError,
    aiormq.exceptions.AMQPError,
    aiormq.exceptions.ChannelInvalidStateError,
    asyncio.CancelledError,
)

USUAL: Final = {"plain": 88, "reject": 3, "busy": 4, "late": 1, "scheduled": 2, "twin": 2}
"""What ordinary traffic is made of, in parts of a hundred."""
PLAIN: Final = {"plain": 100}
TEXTS: Final = {"sms": 88, "sms-lost": 8, "sms-reject": 4}
MAIL_LOST: Final = {"plain": 80, "lost": 20}


@dataclass(frozen=True, slots=True)
class Item:
    """A notification to publish."""

    id: UUID
    kind: str
    key: str
    body: bytes
    note: str = ""
    """What belongs to it: the key it shares, or when it is due."""


class Writer:
    """Writes notifications of the kinds that are asked for, the same ones for the same seed."""

    def __init__(
        self, seed: int, mix: dict[str, int], priorities: tuple[str, ...] = ("normal",)
    ) -> None:
        self._random = random.Random(seed)
        self._kinds = [kind for kind, parts in mix.items() for _ in range(parts)]
        self._priorities = priorities
        self._twins: list[str] = []

    def items(self, count: int) -> Iterator[Item]:
        """So many."""
        for _ in range(count):
            yield self.item(self._random.choice(self._kinds))

    def item(self, kind: str) -> Item:
        """One of a kind."""
        id = UUID(int=self._random.getrandbits(128), version=4)
        fields, note = self._fields(kind, id)
        priority = self._random.choice(self._priorities)
        channel = "sms" if kind.startswith("sms") else "email"
        body = {"id": str(id), "version": 1, "channel": channel, "priority": priority, **fields}
        return Item(id, kind, f"{channel}.{priority}", json.dumps(body).encode(), note)

    def _fields(self, kind: str, id: UUID) -> tuple[dict[str, Any], str]:
        now = datetime.now(UTC)
        match kind:
            case "scheduled":
                due = now + timedelta(seconds=self._random.uniform(1.5, 4))
                return {**_mail("ok", id), "scheduled_at": due.isoformat()}, str(due.timestamp())
            case "late" | "brief":
                limit = now + timedelta(seconds=self._random.uniform(2, 4))
                who = "never" if kind == "late" else "ok"
                return {**_mail(who, id), "expires_at": limit.isoformat()}, ""
            case "twin":
                key = self._twin()
                same = {"recipient": f"ok-{key}@example.com"}  # a key is one person's
                return {**_mail("ok", id), **same, "idempotency_key": key}, key
            case "sms" | "sms-lost" | "sms-reject":
                digit = {"sms": "0", "sms-lost": "1", "sms-reject": "3"}[kind]
                return {"recipient": f"+1415555267{digit}", "body": f"Hello, ref {id}"}, ""
            case "plain":
                return _mail("ok", id), ""
            case _:
                return _mail(kind, id), ""

    def _twin(self) -> str:
        """The key of one that has none yet to share it with, or a new one."""
        if self._twins:
            return self._twins.pop()
        self._twins.append(f"key-{self._random.getrandbits(64):016x}")
        return self._twins[-1]


def _mail(who: str, id: UUID) -> dict[str, Any]:
    return {
        "recipient": f"{who}-{id.hex[:12]}@example.com",
        "subject": "Your order is on its way",
        "body": "It was handed to the carrier this morning. Thank you for your patience.",
    }


@dataclass
class Load:
    """Publishes from several tasks, each one at a time, until confirmed. Use it with `async with`.

    Args:
        url: Where; asked for again at every connection.
        journal: Where confirmed ones are written down.
        limit: Whether a notification may be published just now: a backlog without end helps nobody.
    """

    url: Callable[[], str]
    journal: Path
    tasks: int = 200
    mandatory: bool = True
    confirm_within: float = 15.0
    limit: Callable[[], bool] = lambda: True
    confirmed: int = 0
    unroutable: int = 0
    repeated: int = 0
    """Publishes that were not confirmed and were made again."""
    first_at: float = 0.0
    last_at: float = 0.0
    _connection: AbstractConnection | None = None
    _channel: AbstractChannel | None = None
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def __aenter__(self) -> "Load":
        self._file = self.journal.open("a", buffering=1 << 16)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._file.close()
        await self._drop()

    def flush(self) -> None:
        """Write down what is still in memory."""
        self._file.flush()

    async def publish(self, items: Iterator[Item], rate: float | None = None) -> None:
        """Publish all; returns when every one is confirmed."""
        started, count = time(), 0

        async def one_after_the_other() -> None:
            nonlocal count
            for item in items:
                count += 1
                if rate is not None and (wait := started + count / rate - time()) > 0:
                    await asyncio.sleep(wait)
                while not self.limit():
                    await asyncio.sleep(0.02)
                await self._until_confirmed(item)

        async with asyncio.TaskGroup() as group:
            for _ in range(self.tasks):
                group.create_task(one_after_the_other())

    async def _until_confirmed(self, item: Item) -> None:
        while not await self._confirmed(item):
            self.repeated += 1
            await asyncio.sleep(0.25)
        self.promised(item)

    def promised(self, item: Item) -> None:
        """Write down one that will not be lost: its producer, or the caller of the API, was told so."""
        self.confirmed += 1
        self.last_at = time()
        self.first_at = self.first_at or self.last_at
        self._file.write(f"{item.id}\t{item.kind}\t{item.note}\n")

    async def _confirmed(self, item: Item) -> bool:
        properties = aiormq.spec.Basic.Properties(
            content_type="application/json", delivery_mode=2, message_id=uuid4().hex
        )
        try:
            async with asyncio.timeout(self.confirm_within):
                channel = await self._open()
                await channel.basic_publish(
                    item.body,
                    exchange=EXCHANGE,
                    routing_key=item.key,
                    properties=properties,
                    mandatory=self.mandatory,
                    wait=False,
                )
        except aiormq.exceptions.PublishError:
            self.unroutable += 1
            return False
        except TROUBLE:
            _unless_cancelled()
            if self._channel is not None and not self._channel.is_closed:
                await self._drop()  # it may still confirm what we give up: never on this channel
            return False
        except Exception as error:  # aiormq rejects with a bare Exception where the peer closes
            if type(error) is not Exception:
                raise
            return False
        return True

    async def _open(self) -> AbstractChannel:
        async with self._opening:
            if self._channel is None or self._channel.is_closed:
                await self._drop()
                self._connection = await aiormq.connect(self.url())
                self._channel = await self._connection.channel(
                    publisher_confirms=True, on_return_raises=True
                )
            return self._channel

    async def _drop(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None and not connection.is_closed:
            try:
                async with asyncio.timeout(2):
                    await connection.close()
            except TROUBLE:
                _unless_cancelled()


def _unless_cancelled() -> None:
    """aiormq cancels what waits for it when a channel goes away; only a real one is counted."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
