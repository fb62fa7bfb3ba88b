"""Step two, read: bytes and headers become an `Attempt`, or a `MalformedNotification`."""

from collections.abc import Iterator, Mapping
from dataclasses import field
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from tidings.delivery.arrival import TimeSource, arrival
from tidings.delivery.errors import MalformedNotification, Misrouted
from tidings.delivery.properties import producer_of
from tidings.delivery.value import value
from tidings_events import InvalidNotification, Notification, parse
from tidings_events.moments import in_milliseconds, made_at
from tidings_events.notifications.base import CLOCK_SKEW, too_far_ahead
from tidings_events.routing import MILLISECONDS, TRACEPARENT, Headers

_TIME_SOURCES: Final = frozenset(TimeSource)
HIGHEST_COUNT: Final = 10_000
"""No notification is attempted or replayed more often: a larger number in a header is forged."""

AS_IT_IS: Final = frozenset({"", "identity", "utf-8", "utf8"})
"""Content encodings that change nothing, in lower case: Spring's converters set `UTF-8` on all they publish."""
JSON: Final = frozenset({"", "application/json"})
COPIES: Final = "CC"
"""RabbitMQ's sender-selected distribution: a header that routes copies to further queues. `BCC` does so too, and
is removed before delivery."""
YEARS: Final = range(2000, 3000)
"""Times in other years are mistakes; the first and last years of the calendar can't be stored."""
UNSET: Final = 1970
"""The year of a clock that was never set: valid in our headers."""


@value(frozen=True, slots=True)
class Message:
    """A message from RabbitMQ: body, headers and properties."""

    body: bytes
    routing_key: str
    headers: Mapping[str, object] = field(default_factory=dict)
    content_type: str | None = None
    content_encoding: str | None = None
    message_id: str | None = None
    timestamp: datetime | None = None
    """The producer's time of publication."""
    further: Mapping[str, str] | None = None
    """`app_id`, `user_id`, `correlation_id`, `type` and `expiration`, if it has any of these AMQP properties."""

    @property
    def published_at(self) -> datetime | None:
        """When it was published, as the message states; to the millisecond if it states that."""
        if (exact := in_milliseconds(self.headers.get(MILLISECONDS))) is not None:
            return exact
        timestamp = self.timestamp
        return None if timestamp is None or timestamp.tzinfo is None else timestamp

    @property
    def ours(self) -> bool:
        """Whether Tidings published it (retry, replay, scheduled, postponed) and not a producer."""
        return Headers.EPOCH in self.headers


@value(frozen=True, slots=True)
class Lane:
    """A channel and a priority: new notifications wait in its queue."""

    channel: str
    priority: str

    @property
    def key(self) -> str:
        """The routing key, e.g. `email.high`."""
        return f"{self.channel}.{self.priority}"

    @property
    def queue(self) -> str:
        """The name of its queue, e.g. `tidings.email.high`."""
        return f"tidings.{self.channel}.{self.priority}"


@value(frozen=True, slots=True)
class Attempt:
    """One attempt to deliver a notification, identified by (id, epoch, number)."""

    notification: Notification
    body: bytes
    """The notification as the producer wrote it."""
    lane: Lane
    epoch: int
    """0 at first, one more with each replay."""
    number: int
    """1 for the first attempt of an epoch."""
    first_seen: datetime
    """Since when it waits: its publication, or its first read if that is not known."""
    traceparent: str | None = None
    """W3C trace context, carried through unchanged."""
    time_source: TimeSource | None = field(default=None, compare=False)
    """Where `first_seen` comes from; None if an earlier version stored it."""
    producer: str | None = field(default=None, compare=False)
    """Who published it first, if known."""
    postponed_since: datetime | None = field(default=None, compare=False)
    """Since when it is postponed because of its receiver; None if it is not."""
    message: Message | None = field(default=None, repr=False, compare=False)
    """Its message; None if it comes from the ledger."""
    id: UUID = field(init=False, repr=False, compare=False)
    """The notification's id, copied: each message needs it a dozen times."""

    def __post_init__(self) -> None:
        self.id = self.notification.id  # type: ignore[misc]  # as it is made

    @property
    def wanted_since(self) -> datetime:
        """When it could first be sent: at its arrival, or when it was due."""
        due = self.notification.scheduled_at
        return self.first_seen if due is None else max(self.first_seen, due)


def read(
    message: Message,
    lane: Lane,
    *,
    now: datetime | None = None,
    not_before: datetime | None = None,
) -> Attempt:
    """Read a message.

    Args:
        lane: That of the queue it was taken from. The routing key may differ: a message moved by hand has
            the queue's name, a copy requested by its producer the first queue's key.
        now: When it was taken from there.
        not_before: When its lane was last known to be empty; None if that doesn't apply to this message.

    Raises:
        Misrouted: It is for another channel than its lane.
        MalformedNotification: With every problem found, each saying where and what to do.
    """
    notification = _notification(message)
    if (first_seen := _moment(message.headers, Headers.FIRST_SEEN)) is not None:
        seen, source = first_seen, _source(message.headers)
    else:
        seen, source = arrival(
            message.published_at, notification.id, now or datetime.now(UTC), not_before
        )
    return Attempt(
        notification=notification,
        body=message.body,
        lane=_checked_lane(lane, message, notification),
        epoch=_count(message.headers, Headers.EPOCH, lowest=0),
        number=_count(message.headers, Headers.ATTEMPT, lowest=1),
        first_seen=seen,
        time_source=source,
        traceparent=_text(message.headers, TRACEPARENT),
        producer=producer_of(message),
        postponed_since=_moment(message.headers, Headers.POSTPONED_SINCE),
        message=message,
    )


def _notification(message: Message) -> Notification:
    encoding = message.content_encoding
    if encoding is not None and encoding.strip().lower() not in AS_IT_IS:
        raise MalformedNotification(
            f"content_encoding: {encoding[:40]!r} is not supported; publish plain JSON in UTF-8, not compressed or "
            "encoded otherwise, and leave content_encoding out"
        )
    try:
        notification = parse(message.body)
    except InvalidNotification as invalid:
        problems = list(invalid.problems)
        if (kind := message.content_type) is not None and not _is_json(kind):
            problems.append(f"content_type: {kind[:80]!r}; publish application/json")
        raise MalformedNotification(*problems) from None
    timed = notification.scheduled_at or notification.expires_at
    if timed and (problems := list(_impossible_times(notification, message))):
        raise MalformedNotification(*problems)
    return notification


def _is_json(content_type: str) -> bool:
    """Whether it means JSON in UTF-8, as `Application/JSON; charset="utf-8"` does too (RFC 9110, section 8.3.1)."""
    kind, _, parameters = content_type.lower().partition(";")
    charset = parameters.partition("charset=")[2].partition(";")[0].strip().strip('"')
    return kind.strip() in JSON and charset in AS_IT_IS


def _impossible_times(notification: Notification, message: Message) -> Iterator[str]:
    """Times that must be mistakes, whatever our own clock says.

    If the id contains a time, the contract checks against it; if not, only the message's own time can be used.
    Without either, the times are accepted: our clock may be years behind.
    """
    published_at = message.published_at
    if published_at is not None and made_at(notification.id) is None:
        written = max(published_at, datetime.now(UTC)) + CLOCK_SKEW
        yield from (f"{field}: {what}" for field, what in too_far_ahead(notification, written))
    for name in ("scheduled_at", "expires_at"):
        moment: datetime | None = getattr(notification, name)
        if moment is not None and moment.year not in YEARS:
            yield f"{name}: {moment.isoformat()} is not a time of this millennium; correct the year"


def _checked_lane(lane: Lane, message: Message, notification: Notification) -> Lane:
    """The lane, which must be of the notification's channel. The priority is the queue's, not the body's:
    an operator may have moved the message to another queue."""
    if lane.channel != notification.channel:
        raise Misrouted(notification.channel, _misrouting(lane, message, notification))
    return lane


def _misrouting(lane: Lane, message: Message, notification: Notification) -> str:
    own = f"{notification.channel}.{notification.priority}"
    key = message.routing_key
    if (copies := message.headers.get(COPIES)) is not None:
        return (
            f"channel: the body says {notification.channel!r}, and this copy came out of {lane.queue}: its header "
            f"CC: {_shown(copies)} makes RabbitMQ put copies into further queues; leave CC and BCC out"
        )
    if key.startswith(f"{lane.channel}."):
        return (
            f"channel: the body says {notification.channel!r} and the routing key {key[:80]!r} "
            f"says {lane.channel!r}; publish it with the key {own}"
        )
    return (
        f"channel: the body says {notification.channel!r}, and it came out of {lane.queue}, where it was moved, or "
        f"copied by a header BCC; move it to tidings.{own}, or publish it with the key {own}"
    )


def _count(headers: Mapping[str, object], name: str, *, lowest: int) -> int:
    if name not in headers:
        return lowest
    value = headers[name]
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


def _source(headers: Mapping[str, object]) -> TimeSource | None:
    """Where the time of arrival in a message's header comes from."""
    source = headers.get(Headers.TIME_SOURCE)
    return TimeSource(source) if isinstance(source, str) and source in _TIME_SOURCES else None


def _moment(headers: Mapping[str, object], name: str) -> datetime | None:
    value = headers.get(name)
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or not UNSET <= moment.year < YEARS.stop:
        raise MalformedNotification(
            f"header {name}: {_shown(value)} is not a time from {UNSET} to {YEARS.stop - 1} with an offset; "
            "x-tidings- headers are set by Tidings: leave them out"
        )
    return moment


def _text(headers: Mapping[str, object], name: str) -> str | None:
    """A header that is only passed on: an unreasonable value is dropped, not refused."""
    value = headers.get(name)
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    return value if isinstance(value, str) and len(value) <= 256 and value.isprintable() else None


def _shown(value: object) -> str:
    return repr(value)[:60]
