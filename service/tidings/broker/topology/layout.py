"""Names, arguments and bindings of everything Tidings keeps in RabbitMQ: data, in one place.

`declare` makes it so, `tidings topology` shows, checks and prunes it, and
`deploy/rabbitmq/definitions.json` is written from it. Verified on RabbitMQ 3.10, 4.0 and 4.3.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from tidings.delivery.attempt import Lane
from tidings.delivery.delay import Delay
from tidings.settings import Settings
from tidings_events import Priority
from tidings_events.routing import EXCHANGE as NOTIFICATIONS

RETRY: Final = "tidings.retry"
DEAD: Final = "tidings.dead"
INBOX: Final = "tidings.inbox"
"""Announces that inboxes have changed; each process with live connections has a queue of its own there."""

PRIORITIES: Final = tuple(
    str(priority) for priority in (Priority.URGENT, Priority.HIGH, Priority.NORMAL, Priority.LOW)
)
"""Most urgent first."""

DELIVERY_LIMIT: Final = 20
"""Deliveries without an ack after which a lane dead-letters a message."""

NEVER_LIMITED: Final = 2_000_000_000
"""The dead-letter queue must not drop messages however often the archive crashes. RabbitMQ 4 has a
default limit of 20; 3.10 has no "unlimited"."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A durable exchange."""

    name: str
    type: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


INBOX_EXCHANGE: Final = Exchange(INBOX, "fanout")


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable quorum queue."""

    name: str
    purpose: str
    """What waits in it, for people."""
    arguments: Mapping[str, Any]

    @property
    def longest_wait(self) -> float | None:
        """Seconds after which RabbitMQ moves its messages on; None if it does not."""
        milliseconds = self.arguments.get("x-message-ttl")
        return None if milliseconds is None else milliseconds / 1000


@dataclass(frozen=True, slots=True)
class Binding:
    """From an exchange to a queue."""

    exchange: str
    queue: str
    key: str


@dataclass(frozen=True, slots=True)
class Topology:
    """Everything that has to exist before a message moves."""

    exchanges: tuple[Exchange, ...]
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]

    def definitions(self) -> dict[str, Any]:
        """The same as RabbitMQ's definitions file, for the virtual host `/`."""
        durable = {"vhost": "/", "durable": True, "auto_delete": False}
        return {
            "vhosts": [{"name": "/"}],
            "exchanges": [
                {
                    "name": exchange.name,
                    "type": exchange.type,
                    **durable,
                    "internal": False,
                    "arguments": dict(exchange.arguments),
                }
                for exchange in self.exchanges
            ],
            "queues": [
                {
                    "name": queue.name,
                    "type": "quorum",
                    **durable,
                    "arguments": dict(queue.arguments),
                }
                for queue in self.queues
            ],
            "bindings": [
                {
                    "source": binding.exchange,
                    "vhost": "/",
                    "destination": binding.queue,
                    "destination_type": "queue",
                    "routing_key": binding.key,
                    "arguments": {},
                }
                for binding in self.bindings
            ],
        }


def topology(queue_delays: Mapping[str, Sequence[Delay]]) -> Topology:
    """The topology for these channels, each with the delays of its retry queues."""
    return Topology(
        exchanges=(
            Exchange(NOTIFICATIONS, "topic", {"alternate-exchange": DEAD}),
            Exchange(RETRY, "topic"),
            Exchange(DEAD, "fanout"),
            INBOX_EXCHANGE,
        ),
        queues=(
            *(queue for channel in queue_delays for queue in _lanes(channel)),
            *(
                _retry_queue(channel, delay)
                for channel, delays in queue_delays.items()
                for delay in delays
            ),
            Queue(
                DEAD,
                "dead letters on their way to the archive",
                _quorum(**{"x-delivery-limit": NEVER_LIMITED}),
            ),
        ),
        bindings=tuple(_bindings(queue_delays)),
    )


def topology_of(settings: Settings) -> Topology:
    """The topology of these settings, with every channel, configured or not."""
    return topology({channel: settings.delays(channel) for channel in settings.channels})


def lane_queue(lane: Lane) -> str:
    """`tidings.email.high`."""
    return lane.queue


@lru_cache(maxsize=64)
def lane_at(queue: str) -> Lane:
    """The lane whose queue has this name."""
    _, channel, priority = queue.split(".")
    return Lane(channel, priority)


def lanes_of(topology: Topology) -> tuple[Lane, ...]:
    """Every lane."""
    names = {binding.queue for binding in topology.bindings if binding.exchange == NOTIFICATIONS}
    return tuple(lane_at(queue.name) for queue in topology.queues if queue.name in names)


def retry_queue(channel: str, delay: Delay) -> str:
    """`tidings.email.retry.2m`."""
    return f"tidings.{channel}.retry.{delay.name}"


def retry_key(lane: Lane, delay: Delay) -> str:
    """The routing key that leads through a retry queue and back into the lane: `email.high.2m`."""
    return f"{lane.key}.{delay.name}"


def _lanes(channel: str) -> Iterator[Queue]:
    for priority in PRIORITIES:
        yield Queue(
            lane_queue(Lane(channel, priority)),
            f"{priority} {channel} waiting to be sent",
            _quorum(
                **{
                    "x-dead-letter-exchange": DEAD,
                    "x-dead-letter-strategy": "at-least-once",
                    "x-delivery-limit": DELIVERY_LIMIT,
                }
            ),
        )


def _retry_queue(channel: str, delay: Delay) -> Queue:
    return Queue(
        retry_queue(channel, delay),
        f"{channel} to retry in {delay.name}",
        _quorum(
            **{
                "x-dead-letter-exchange": NOTIFICATIONS,
                "x-dead-letter-strategy": "at-least-once",
                "x-message-ttl": delay.seconds * 1000,
            }
        ),
    )


def _quorum(**arguments: Any) -> dict[str, Any]:
    """Plain dead-lettering is at-most-once: at-least-once needs quorum and reject-publish."""
    return {"x-queue-type": "quorum", "x-overflow": "reject-publish", **arguments}


def _bindings(queue_delays: Mapping[str, Sequence[Delay]]) -> Iterator[Binding]:
    for channel, delays in queue_delays.items():
        for priority in PRIORITIES:
            lane = Lane(channel, priority)
            yield Binding(NOTIFICATIONS, lane_queue(lane), f"{lane.key}.#")
        for delay in delays:
            yield Binding(RETRY, retry_queue(channel, delay), f"{channel}.*.{delay.name}")
    yield Binding(DEAD, DEAD, "")
