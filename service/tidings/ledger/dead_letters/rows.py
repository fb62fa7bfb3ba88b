"""How a dead letter becomes columns, and columns a dead letter again."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self, TypeAlias
from uuid import UUID

from asyncpg import Record

from tidings.delivery.archiving import NotificationStatus
from tidings.delivery.arrival import arrival
from tidings.delivery.attempt import YEARS, Attempt, Lane
from tidings.delivery.dead_letter import DeadLetter, DeadLetterState
from tidings.delivery.fingerprint import fingerprint
from tidings.delivery.outcome import UNTRIED, Failure, Reason
from tidings.delivery.properties import signed
from tidings.delivery.states import State
from tidings.ledger.notifications import rows
from tidings.ledger.notifications.counting import COUNT_ENDS
from tidings_events import Notification
from tidings_events.routing import TRACEPARENT, Headers

ExpiresAt: TypeAlias = Callable[[Attempt], datetime | None]
"""When an attempt's notification stops being worth delivering."""


@dataclass(frozen=True, slots=True)
class ArchiveRequest:
    """A dead letter to be stored."""

    dead_letter: DeadLetter
    expires_at: datetime | None = None
    """When its notification stops being worth delivering."""

    @property
    def attempt(self) -> Attempt:
        """As its notification is stored where the ledger has none. Only for dead letters that can be read."""
        dead_letter = self.dead_letter
        assert dead_letter.notification is not None  # noqa: S101  # for the type checker
        assert dead_letter.lane is not None  # noqa: S101  # for the type checker
        return Attempt(
            notification=dead_letter.notification,
            body=dead_letter.body,
            lane=dead_letter.lane,
            epoch=dead_letter.epoch,
            number=dead_letter.attempts,
            first_seen=dead_letter.first_seen,
            traceparent=_traceparent(dead_letter.headers),
            producer=signed(dead_letter.properties),
        )


@dataclass(frozen=True, slots=True)
class Introduced:
    """A notification that only a dead letter knew of."""

    attempt: Attempt
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class DeadLetterEntry:
    """A dead letter with what is decided of it, ready to be stored."""

    id: UUID
    dead_letter: DeadLetter
    state: DeadLetterState
    note: str | None

    @property
    def fingerprint(self) -> str:
        """Groups it with dead letters of the same cause."""
        return fingerprint(
            self.dead_letter.channel, self.dead_letter.reason, self.dead_letter.failure
        )


@dataclass(frozen=True, slots=True)
class StoredDeadLetter:
    """A dead letter in the ledger."""

    id: UUID
    notification_id: UUID | None
    epoch: int
    state: DeadLetterState
    reason: Reason
    failure: Failure
    fingerprint: str
    channel: str | None
    priority: str | None
    tenant: str | None
    """None if its message does not tell."""
    category: str | None
    recipient: str | None
    user_id: str | None
    entity_type: str | None
    entity_id: str | None
    attempts: int
    """The number of the last one in its epoch."""
    first_failed_at: datetime
    last_failed_at: datetime
    dead_lettered_at: datetime
    exchange: str
    routing_key: str
    content_type: str | None
    headers: Mapping[str, Any]
    properties: Mapping[str, str]
    """AMQP properties as its producer set them."""
    changed_at: datetime
    actor: str | None
    note: str | None
    noted_by: str | None
    """The person whose note it is; None if Tidings wrote it."""
    noted_at: datetime | None
    supersedes: UUID | None
    replay_epoch: int | None
    replayed_at: datetime | None
    test: bool
    """Whether it is a test's."""
    size: int
    """Bytes of the body."""

    @property
    def attempts_made(self) -> int:
        """Attempts in which a provider was called, in its epoch."""
        return max(0, self.attempts - (self.failure.kind == UNTRIED))

    @classmethod
    def of(cls, row: Mapping[str, Any] | Record) -> Self:
        """Read a row of `DEAD_LETTER`."""
        values = dict(row)
        failure = Failure(*(values.pop(name) for name in ("kind", "message", "provider", "code")))
        for name in ("headers", "properties"):
            values[name] = json.loads(values[name])
        values["state"] = DeadLetterState(values["state"])
        values["reason"] = Reason(values["reason"])
        return cls(failure=failure, **values)


DEAD_LETTER: Final = """
d.id, d.notification_id, d.epoch, d.state, d.reason, d.kind, d.message, d.provider, d.code, d.fingerprint,
d.channel, d.priority, d.tenant, d.category, d.recipient, d.user_id, d.entity_type, d.entity_id, d.attempts,
d.first_failed_at, d.last_failed_at, d.dead_lettered_at, d.exchange, d.routing_key, d.content_type, d.headers,
d.properties,
d.changed_at, d.actor, d.note, d.noted_by, d.noted_at, d.supersedes, d.replay_epoch, d.replayed_at, d.test, octet_length(d.body) AS size
"""
"""A StoredDeadLetter's columns of `dead_letters d`."""

STATUS: Final = """
n.id, n.state, n.epoch, n.attempt, n.lease_until, n.reason, n.provider, n.failure_kind, n.failure_code, n.failure_message,
n.perhaps_sent OR n.lapses > 0 OR n.failure_kind = 'outcome_unknown' AS perhaps_sent,
EXISTS (SELECT FROM recipient_results r
         WHERE r.notification_id = n.id AND r.epoch = n.epoch AND r.address = n.recipient AND r.state = 'sent') AS reached,
n.tenant, n.accepted_at, n.traceparent, sha256(n.body) AS content, now() AS now
"""
LOCKED: Final = "FROM notifications n WHERE n.id = ANY($1::uuid[]) ORDER BY n.id FOR NO KEY UPDATE"
"""In the order in which everybody locks them."""
STANDING: Final = f"SELECT {STATUS} {LOCKED}"
"""How notifications stand."""

FAILURE_COLUMNS: Final = ("reason", "kind", "message", "dead_lettered_at")
"""A dead letter's columns about the end of its notification."""
ARCHIVE: Final = "archive"
"""The actor for notifications that only a dead letter knew of."""

INTRODUCE_FAILED: Final = f"""
WITH incoming AS (
    SELECT * FROM unnest({rows.COLUMNS.parameters("text", "text", "text", "timestamptz")})
        AS i ({rows.COLUMNS.names}, reason, kind, message, dead_lettered_at)
), added AS (
    INSERT INTO notifications ({rows.COLUMNS.names}, state, epoch, attempt, finished_at, reason, failure_kind, failure_message)
    SELECT {rows.COLUMNS.names}, 'failed', 0, 0, now(), reason, kind, message FROM incoming
    ON CONFLICT (id) DO NOTHING
    RETURNING id, tenant, test, channel, category, reason AS outcome, provider, failure_kind AS kind
), counted AS ({COUNT_ENDS.format(ended="added")})
INSERT INTO transitions (notification_id, epoch, at, before, after, actor, reason)
SELECT id, 0, dead_lettered_at, 'queued', 'failed', '{ARCHIVE}', 'dead letter: ' || message FROM added JOIN incoming USING (id)
"""
"""Stores notifications that only a dead letter knew of, and that they were refused when it was dead-lettered."""


def status(row: Record) -> NotificationStatus:
    """Read a row of `STANDING`."""
    return NotificationStatus(
        state=State(row["state"]),
        epoch=row["epoch"],
        attempt=row["attempt"],
        lease_until=row["lease_until"],
        reason=_reason(row["reason"]),
        failure=_failure(row),
        perhaps_sent=bool(row["perhaps_sent"]),
        reached=row["reached"],
        content=row["content"],
    )


_REASONS: Final = frozenset(Reason)


def _reason(value: str | None) -> Reason | None:
    """A notification's reason is not always a dead letter's, e.g. `duplicate`."""
    return Reason(value) if value in _REASONS else None


def _failure(row: Record) -> Failure | None:
    if row["failure_kind"] is None:
        return None
    return Failure(
        row["failure_kind"],
        row["failure_message"] or "",
        row["provider"] or "",
        row["failure_code"] or "",
    )


@dataclass(frozen=True, slots=True)
class DeadLetterColumn:
    """A column of `dead_letters`, its PostgreSQL type, and where its value comes from."""

    name: str
    type: str
    value: Callable[[DeadLetterEntry], object]


COLUMNS: Final = (
    DeadLetterColumn("id", "uuid", lambda entry: entry.id),
    DeadLetterColumn("notification_id", "uuid", lambda entry: entry.dead_letter.notification_id),
    DeadLetterColumn("epoch", "int", lambda entry: entry.dead_letter.epoch),
    DeadLetterColumn("state", "text", lambda entry: entry.state.value),
    DeadLetterColumn("reason", "text", lambda entry: entry.dead_letter.reason.value),
    DeadLetterColumn("kind", "text", lambda entry: entry.dead_letter.failure.kind),
    DeadLetterColumn("code", "text", lambda entry: entry.dead_letter.failure.code),
    DeadLetterColumn("message", "text", lambda entry: entry.dead_letter.failure.message),
    DeadLetterColumn("provider", "text", lambda entry: entry.dead_letter.failure.provider),
    DeadLetterColumn("fingerprint", "text", lambda entry: entry.fingerprint),
    DeadLetterColumn("channel", "text", lambda entry: entry.dead_letter.channel),
    DeadLetterColumn(
        "priority",
        "text",
        lambda entry: entry.dead_letter.lane.priority if entry.dead_letter.lane else None,
    ),
    DeadLetterColumn("tenant", "text", lambda entry: entry.dead_letter.search_fields.tenant),
    DeadLetterColumn("category", "text", lambda entry: entry.dead_letter.search_fields.category),
    DeadLetterColumn("recipient", "text", lambda entry: entry.dead_letter.search_fields.recipient),
    DeadLetterColumn("user_id", "text", lambda entry: entry.dead_letter.search_fields.user_id),
    DeadLetterColumn(
        "entity_type", "text", lambda entry: entry.dead_letter.search_fields.entity_type
    ),
    DeadLetterColumn("entity_id", "text", lambda entry: entry.dead_letter.search_fields.entity_id),
    DeadLetterColumn("attempts", "int", lambda entry: entry.dead_letter.attempts),
    DeadLetterColumn(
        "dead_lettered_at", "timestamptz", lambda entry: entry.dead_letter.dead_lettered_at
    ),
    DeadLetterColumn("exchange", "text", lambda entry: entry.dead_letter.exchange),
    DeadLetterColumn("routing_key", "text", lambda entry: entry.dead_letter.routing_key),
    DeadLetterColumn("content_type", "text", lambda entry: entry.dead_letter.content_type),
    DeadLetterColumn("headers", "jsonb", lambda entry: json.dumps(entry.dead_letter.headers)),
    DeadLetterColumn("properties", "jsonb", lambda entry: _json(entry.dead_letter.properties)),
    DeadLetterColumn("body", "bytea", lambda entry: entry.dead_letter.body),
    DeadLetterColumn("note", "text", lambda entry: entry.note),
    DeadLetterColumn("test", "boolean", lambda entry: entry.dead_letter.search_fields.test),
)
"""What a dead letter fills when it is stored."""

NAMES: Final = ", ".join(column.name for column in COLUMNS)
PARAMETERS: Final = ", ".join(
    f"${place}::{column.type}[]" for place, column in enumerate(COLUMNS, start=1)
)


def columns(entries: Iterable[DeadLetterEntry]) -> list[list[object]]:
    """One list of values per column, in the order of `COLUMNS`."""
    items = list(entries)
    return [[column.value(entry) for entry in items] for column in COLUMNS]


def producer_of(row: Record) -> str | None:
    """Who published what a dead letter of `dead_letters` holds."""
    return signed(json.loads(row["properties"]))


def first_attempt(row: Record, notification: Notification, body: bytes, lane: Lane) -> Attempt:
    """As a notification is stored that only this dead letter of `dead_letters` knew of.

    It counts from when its producer says that it was published, as any other does.
    """
    published = published_at(json.loads(row["properties"]))
    at, source = arrival(published, notification.id, row["dead_lettered_at"])
    traceparent = _traceparent(json.loads(row["headers"]))
    return Attempt(
        notification, body, lane, 0, 0, at, traceparent, source, producer=producer_of(row)
    )


def published_at(properties: Mapping[str, str]) -> datetime | None:
    """When a dead letter's producer said that it published it, in its header or its AMQP timestamp."""
    try:
        published = datetime.fromisoformat(properties.get("timestamp", ""))
    except ValueError:
        return None
    return published if published.tzinfo is not None and published.year in YEARS else None


def _traceparent(headers: Mapping[str, Any]) -> str | None:
    """A worker that could not read a message has put that one's headers into one of its own."""
    originals = headers.get(Headers.ORIGINAL_HEADERS)
    found = {**(originals if isinstance(originals, dict) else {}), **headers}.get(TRACEPARENT)
    return found if isinstance(found, str) else None


def _json(properties: Mapping[str, str] | None) -> str | None:
    return None if properties is None else json.dumps(properties)
