"""Step two, read: bytes and headers become an `Attempt`, or a `MalformedNotification`."""

from collections.abc import Iterator, Mapping
from dataclasses import field
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from tidings.delivery.errors import MalformedNotification
from tidings.delivery.value import value
from tidings_events import InvalidNotification, Notification, Priority, parse
from tidings_events.routing import TRACEPARENT, Headers

HIGHEST_COUNT: Final = 10_000
"""No notification is tried or replayed more often: a larger number in a header is forged."""

_PRIORITIES: Final = frozenset(Priority)
YEARS: Final = range(2000, 3000)
"""Times in other years are mistakes, and the first and the last of the calendar can't be stored."""


LONGEST_WAIT: Final = timedelta(days=7)
"""A message that says it waited longer has a clock that is wrong, or none."""


@value(frozen=True, slots=True)
class Message:
    """What a broker handed over: bytes and what was written on the outside."""

    body: bytes
    routing_key: str
    headers: Mapping[str, object] = field(default_factory=dict)
    content_type: str | None = None
    content_encoding: str | None = None
    message_id: str | None = None
    timestamp: datetime | None = None
    """When its producer says that it was published."""


@value(frozen=True, slots=True)
class Lane:
    """A channel and a priority: where a notification waits its turn."""

    channel: str
    priority: str

    @property
    def key(self) -> str:
        """The routing key, e.g. `email.high`."""
        return f"{self.channel}.{self.priority}"


@value(frozen=True, slots=True)
class Attempt:
    """One try at one notification: (id, epoch, number) names it for ever."""

    notification: Notification
    body: bytes
    """The notification as the producer wrote it."""
    lane: Lane
    epoch: int
    """0 for the first life, one more with each replay."""
    number: int
    """1 for the first try of an epoch."""
    first_seen: datetime
    """When Tidings first read it."""
    traceparent: str | None = None
    """W3C trace context, carried through unchanged."""
    id: UUID = field(init=False, repr=False, compare=False)
    """The notification's id, at hand: a message's way asks for it a dozen times."""

    def __post_init__(self) -> None:
        self.id = self.notification.id  # type: ignore[misc]  # as it is made

    @property
    def wanted_since(self) -> datetime:
        """When it could first be sent: when it was first read, or when it was due."""
        due = self.notification.scheduled_at
        return self.first_seen if due is None else max(self.first_seen, due)


def read(message: Message, *, now: datetime | None = None) -> Attempt:
    """Read a message from a lane.

    Raises:
        MalformedNotification: With every problem found, each saying where and what to do.
    """
    notification = _notification(message)
    now = now or datetime.now(UTC)
    return Attempt(
        notification=notification,
        body=message.body,
        lane=_lane(message.routing_key, notification),
        epoch=_count(message.headers, Headers.EPOCH, lowest=0),
        number=_count(message.headers, Headers.ATTEMPT, lowest=1),
        first_seen=_moment(message.headers, Headers.FIRST_SEEN) or _published(message, now),
        traceparent=_text(message.headers, TRACEPARENT),
    )


def _notification(message: Message) -> Notification:
    if message.content_encoding not in {None, "", "identity", "utf-8"}:
        raise MalformedNotification(
            f"content_encoding: {message.content_encoding[:40]!r} is not supported; publish plain JSON"
        )
    try:
        notification = parse(message.body)
    except InvalidNotification as invalid:
        problems = list(invalid.problems)
        if message.content_type not in {None, "", "application/json"}:
            problems.append(
                f"content_type: {message.content_type[:80]!r}; publish application/json"
            )
        raise MalformedNotification(*problems) from None
    timed = notification.scheduled_at or notification.expires_at
    if timed and (problems := list(_impossible_times(notification))):
        raise MalformedNotification(*problems)
    return notification


def _impossible_times(notification: Notification) -> Iterator[str]:
    for name in ("scheduled_at", "expires_at"):
        moment: datetime | None = getattr(notification, name)
        if moment is not None and moment.year not in YEARS:
            yield f"{name}: {moment.isoformat()} is not a time of this millennium; mend the year"


def _lane(routing_key: str, notification: Notification) -> Lane:
    """The lane it was published to, which the body must not contradict."""
    channel, _, rest = routing_key.partition(".")
    priority = rest.partition(".")[0]
    if channel != notification.channel:
        raise MalformedNotification(
            f"channel: the body says {notification.channel!r} and the routing key {routing_key[:80]!r} "
            f"says {channel[:40]!r}; publish it with the key {notification.channel}.{notification.priority}"
        )
    if "priority" in notification.model_fields_set and priority != notification.priority:
        raise MalformedNotification(
            f"priority: the body says {str(notification.priority)!r} and the routing key "
            f"{routing_key[:80]!r} says {priority[:40]!r}; make them agree, or leave priority out"
        )
    if priority not in _PRIORITIES:
        raise MalformedNotification(
            f"priority: the routing key {routing_key[:80]!r} names none; publish with the key "
            f"{notification.channel}.{notification.priority}"
        )
    return Lane(channel, priority)


def _count(headers: Mapping[str, object], name: str, *, lowest: int) -> int:
    value = headers.get(name, lowest)
    if (
        isinstance(value, bool)
        or not isinstance(value, int)
        or not lowest <= value <= HIGHEST_COUNT
    ):
        raise MalformedNotification(
            f"header {name}: {_shown(value)} is not a number from {lowest} to {HIGHEST_COUNT}; "
            "x-tidings- headers are set by Tidings: leave them out"
        )
    return value


def _published(message: Message, now: datetime) -> datetime:
    """Since when it waits: as its producer says, where that can be, or else since now."""
    said = message.timestamp
    if said is None or said.tzinfo is None or not now - LONGEST_WAIT <= said <= now:
        return now
    return said


def _moment(headers: Mapping[str, object], name: str) -> datetime | None:
    value = headers.get(name)
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or moment.year not in YEARS:
        raise MalformedNotification(
            f"header {name}: {_shown(value)} is not a time of this millennium with an offset; "
            "x-tidings- headers are set by Tidings: leave them out"
        )
    return moment


def _text(headers: Mapping[str, object], name: str) -> str | None:
    """A header that is only carried along: anything unreasonable is dropped, not refused."""
    value = headers.get(name)
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    return value if isinstance(value, str) and len(value) <= 256 and value.isprintable() else None


def _shown(value: object) -> str:
    return repr(value)[:60]
