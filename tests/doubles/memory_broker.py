"""RabbitMQ as far as Tidings uses it, in memory: exchanges, quorum queues, limits, dead-lettering.

What is written here is what was measured on RabbitMQ 3.10 and 4.0; one contract suite holds both
to it. A message is in exactly one place: ready in a queue, held by a consumer, or kept back
because its dead-letter exchange leads nowhere.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Final, Protocol

from tests.doubles.faults import Faults

HELD_FOR: Final = 180.0
"""Seconds until a dead letter that led nowhere is tried again."""


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """A message in a queue."""

    body: bytes
    exchange: str
    key: str
    headers: Mapping[str, Any]
    content_type: str | None = None
    message_id: str | None = None
    returns: int = 0
    """How often it came back unsettled."""
    failures: int = 0
    """How many of these count towards the delivery limit."""


class Answer(Enum):
    """The reply to a publisher."""

    TAKEN = "taken"
    REFUSED = "refused"
    """A queue is full."""
    RETURNED = "returned"
    """It leads nowhere."""
    NO_EXCHANGE = "no exchange"


class Holder(Protocol):
    """A channel as the broker sees it."""

    def take(self, consumer: "ServerConsumer", message: Stored) -> None:
        """Hold a message and hand it over."""


@dataclass(slots=True, eq=False)
class ServerConsumer:
    """A consumer of a queue."""

    tag: str
    holder: Holder
    prefetch: int
    held: int = 0


@dataclass(slots=True, eq=False)
class MemoryQueue:
    """A quorum queue."""

    name: str
    arguments: Mapping[str, Any]
    ready: deque[Stored] = field(default_factory=deque)
    consumers: list[ServerConsumer] = field(default_factory=list)
    held: int = 0
    """Messages in the hands of consumers, or kept back."""
    max_length: int | None = None
    """A policy's, not the topology's."""

    @property
    def size(self) -> int:
        """Messages in it, wherever they are."""
        return len(self.ready) + self.held

    @property
    def full(self) -> bool:
        """Whether it takes no more."""
        return self.max_length is not None and self.size >= self.max_length


class MemoryBroker:
    """Exchanges and queues.

    Args:
        trouble: Decides which consumer is next and where a message comes back.
        tell: Called for each event.
        counts_nacks: Whether a nack counts towards the delivery limit, as up to RabbitMQ 4.2. From 4.3 on
            only a rejection and a lost channel do, and a header of its own counts all.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        trouble: Faults,
        tell: Callable[[str], None] = lambda _: None,
        *,
        counts_nacks: bool = True,
    ) -> None:
        self.counts_nacks = counts_nacks
        self.queues: dict[str, MemoryQueue] = {}
        self._loop = loop
        self._trouble = trouble
        self._tell = tell
        self._exchanges: dict[str, tuple[str, Mapping[str, Any]]] = {}
        self._bindings: dict[tuple[str, str, str], None] = {}
        self._routes: dict[tuple[str, str], tuple[MemoryQueue, ...]] = {}

    @property
    def empty(self) -> bool:
        """Whether no message is left anywhere."""
        return not any(queue.ready or queue.held for queue in self.queues.values())

    def declare_exchange(self, name: str, kind: str, arguments: Mapping[str, Any]) -> None:
        """Make an exchange, unless it is there."""
        self._exchanges.setdefault(name, (kind, arguments))

    def declare_queue(self, name: str, arguments: Mapping[str, Any]) -> None:
        """Make a queue, unless it is there."""
        if name not in self.queues:
            self.queues[name] = MemoryQueue(name, arguments)

    def bind(self, queue: str, exchange: str, key: str) -> None:
        """Lead an exchange's messages to a queue."""
        if (exchange, queue, key) not in self._bindings:
            self._bindings[exchange, queue, key] = None
            self._routes.clear()

    def publish(self, message: Stored) -> Answer:
        """Take responsibility for a message, or say why not."""
        if message.exchange not in self._exchanges:
            return Answer.NO_EXCHANGE
        targets = self._route(message.exchange, message.key)
        if not targets:
            return Answer.RETURNED
        if any(queue.full for queue in targets):
            return Answer.REFUSED
        for queue in targets:
            self._put(queue, message)
        return Answer.TAKEN

    def consume(self, queue: MemoryQueue, consumer: ServerConsumer) -> None:
        """Begin to hand out a queue's messages."""
        queue.consumers.append(consumer)
        self.hand_out(queue)

    def hand_out(self, queue: MemoryQueue) -> None:
        """Deliver waiting messages to consumers with room."""
        while queue.ready:
            able = [consumer for consumer in queue.consumers if consumer.held < consumer.prefetch]
            if not able:
                return
            chosen = able[0] if len(able) == 1 else self._trouble.random.choice(able)
            chosen.held += 1
            queue.held += 1
            chosen.holder.take(chosen, queue.ready.popleft())

    def settled(self, queue: MemoryQueue) -> None:
        """Remove an acknowledged message."""
        queue.held -= 1
        self.hand_out(queue)

    def come_back(self, queue: MemoryQueue, message: Stored, *, nacked: bool = False) -> None:
        """Return an unacknowledged message to its queue."""
        queue.held -= 1
        failed = self.counts_nacks or not nacked
        failures = message.failures + failed
        message = replace(message, returns=message.returns + 1, failures=failures)
        limit = queue.arguments.get("x-delivery-limit")
        if failed and limit is not None and failures > limit:
            self._dead_letter(queue, message, "delivery_limit")
            return
        self._tell(f"{queue.name}: comes again {_of(message)}")
        if self._trouble.random.random() < 0.7:
            queue.ready.appendleft(message)
        else:
            queue.ready.append(message)
        self._loop.call_soon(self.hand_out, queue)

    def _put(self, queue: MemoryQueue, message: Stored) -> None:
        self._tell(f"{queue.name}: takes {_of(message)}")
        message = replace(message, returns=0, failures=0)
        queue.ready.append(message)
        if (ttl := queue.arguments.get("x-message-ttl")) is not None:
            self._loop.call_later(ttl / 1000, self._expire, queue, message)
        self.hand_out(queue)

    def _expire(self, queue: MemoryQueue, message: Stored) -> None:
        if message in queue.ready:
            queue.ready.remove(message)
            self._dead_letter(queue, message, "expired")

    def _dead_letter(self, queue: MemoryQueue, message: Stored, why: str) -> None:
        """Dead-letter: keep it until its exchange has taken it."""
        exchange = queue.arguments.get("x-dead-letter-exchange")
        if exchange is None:
            self._tell(f"{queue.name}: DROPS {_of(message)}")
            return
        deaths = message.headers.get("x-death", [])
        died_in = {death["queue"] for death in deaths if death["reason"] != "rejected"}
        death = {"queue": queue.name, "reason": why, "count": 1}
        dead = replace(
            message, exchange=exchange, headers={**message.headers, "x-death": [death, *deaths]}
        )
        targets = self._route(exchange, message.key)
        if not targets or any(target.full for target in targets):
            queue.held += 1
            self._loop.call_later(HELD_FOR, self._dead_letter_again, queue, message, why)
            return
        for target in targets:
            if target.name in died_in:  # RabbitMQ ≤ 3.13 takes it for a cycle
                self._tell(f"{target.name}: DROPS {_of(message)}, it died here before")
            else:
                self._put(target, dead)

    def _dead_letter_again(self, queue: MemoryQueue, message: Stored, why: str) -> None:
        queue.held -= 1
        self._dead_letter(queue, message, why)

    def _route(self, exchange: str, key: str) -> tuple[MemoryQueue, ...]:
        if (exchange, key) not in self._routes:
            self._routes[exchange, key] = tuple(self._find(exchange, key))
        return self._routes[exchange, key]

    def _find(self, exchange: str, key: str) -> Iterable[MemoryQueue]:
        kind, arguments = self._exchanges[exchange]
        found = {
            queue: self.queues[queue]
            for source, queue, pattern in self._bindings
            if source == exchange and (kind == "fanout" or matches(pattern, key))
        }
        if not found and (alternate := arguments.get("alternate-exchange")) is not None:
            return self._find(alternate, key)
        return found.values()


def matches(pattern: str, key: str) -> bool:
    """Whether a topic exchange leads this key through a binding: `*` is a word, `#` any number."""
    return _match(pattern.split("."), key.split("."))


def _match(pattern: list[str], words: list[str]) -> bool:
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(_match(pattern[1:], words[start:]) for start in range(len(words) + 1))
    return bool(words) and pattern[0] in {"*", words[0]} and _match(pattern[1:], words[1:])


def _of(message: Stored) -> str:
    """Which message: its notification's number, and the attempt it is in."""
    headers = message.headers
    at = message.body.find(b'"id"')
    epoch, attempt = headers.get("x-tidings-epoch", 0), headers.get("x-tidings-attempt", 1)
    return f"{message.body[at + 38 : at + 43].decode('ascii', 'replace')} {message.key} epoch {epoch} attempt {attempt}"
