"""Erases a person from what has ended: addresses, texts and headers go, the history of states stays."""

import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from tidings.ledger.database import Connection, Database
from tidings.ledger.steps import steps
from tidings_events.notifications.addresses import email_address

AT_ONCE: Final = 500
"""Notifications, or dead letters, that are erased in one transaction."""
LONGEST: Final = 600.0
"""Seconds that looking for the next rows may take: they may be few among many."""
FETCHED: Final = 20
"""Rows in memory at once: each may have ten MiB."""

BY_ADDRESS: Final = """
SELECT id, finished_at IS NOT NULL AS ended, recipient, body FROM notifications
 WHERE (recipient = $1 OR position(convert_to($2, 'UTF8') IN body) > 0) AND recipient <> 'erased'
   AND ($5::text IS NULL OR tenant = $5)
   AND accepted_at >= coalesce($3::timestamptz, '-infinity') AND accepted_at < coalesce($4::timestamptz, 'infinity')
"""
BY_USER: Final = """
SELECT id, finished_at IS NOT NULL AS ended, recipient FROM notifications
 WHERE user_id = $1 AND ($2::text IS NULL OR tenant = $2)
"""
DEAD_LETTERS: Final = """
SELECT id, state, recipient, body, convert_to(jsonb_build_array(headers, properties)::text, 'UTF8') AS headers,
       notification_id = ANY($4::uuid[]) OR recipient = $1 OR user_id = $2 AS theirs,
       $5::text IS NULL OR tenant = $5 OR coalesce(notification_id = ANY($4::uuid[]), FALSE) AS of_tenant
  FROM dead_letters
 WHERE (recipient = $1 OR user_id = $2 OR notification_id = ANY($4::uuid[]) OR position(convert_to($3, 'UTF8') IN body) > 0
        OR position($3 IN headers::text) > 0 OR position($3 IN properties::text) > 0)
   AND ($5::text IS NULL OR tenant = $5 OR tenant IS NULL) AND (recipient, body) IS DISTINCT FROM ('erased', '{}'::bytea)
"""
"""What has the longest word of an address in it is read then: no writer of JSON escapes letters and digits. A dead letter
without a tenant belongs to its notification's tenant."""
ERASE_KEYS: Final = "SELECT tidings_erase_keys($1)"
ERASE: Final = """
WITH erased AS (
    UPDATE notifications SET recipient = 'erased', user_id = NULL, body = '{}', subject = NULL, properties = NULL, idempotency_key = NULL,
           updated_at = now()
     WHERE id = ANY($1::uuid[]) AND finished_at IS NOT NULL
    RETURNING id, epoch, state
), addresses AS (
    UPDATE recipient_results r SET address = 'erased ' || gen_random_uuid() FROM erased WHERE r.notification_id = erased.id
)
INSERT INTO transitions (notification_id, epoch, before, after, actor, reason)
SELECT id, epoch, state, state, $2, 'erased: ' || $3::text FROM erased
"""
ERASE_DEAD_LETTERS: Final = """
UPDATE dead_letters SET recipient = 'erased', user_id = NULL, body = '{}', headers = '{}', properties = '{}',
       message = CASE WHEN kind IN ('malformed', 'misrouted') THEN 'erased' ELSE message END,
       note = 'erased: ' || $3::text, noted_by = $2, noted_at = now(), actor = $2, changed_at = now()
 WHERE id = ANY($1::uuid[]) AND state NOT IN ('open', 'replaying')
"""
"""Of what can't be read the message may quote the recipient."""


def normal(recipient: str) -> str:
    """As the contract reads it: an e-mail address with its domain in lower case."""
    local, at, domain = recipient.rpartition("@")
    if not at or "://" in recipient:
        return recipient
    try:
        return email_address(recipient)
    except ValueError:
        return f"{local}@{domain.lower()}"


class Person:
    """Who is to be erased: by their address, or by a producer's id of them.

    Args:
        recipient: In full: an e-mail address, a telephone number, a URL.
        user_id: Of a producer.
        fields: Fields of notifications that hold people's addresses.
        tenant: Only what is this one's; None for all.
    """

    def __init__(
        self,
        recipient: str | None = None,
        user_id: str | None = None,
        fields: frozenset[str] = frozenset({"recipient"}),
        tenant: str | None = None,
    ) -> None:
        self.tenant = tenant
        self._given = recipient or user_id or ""
        self.recipient = None if recipient is None else normal(recipient)
        self.user_id = user_id
        self._fields = fields
        searched = (self.recipient or "").rpartition("@")[0] or self.recipient or user_id or ""
        self.longest_word = max(re.findall("[A-Za-z0-9]+", searched), key=len, default="")
        self._text = re.compile(
            _address(self.recipient)
            if self.recipient
            else rf'"user_id"\s*:\s*"?{re.escape(user_id or "")}(?!\w)'
        )

    @property
    def ids(self) -> Sequence[str]:
        """The ids by which an inbox may be theirs: as given, and an address as the contract reads it."""
        known = {self._given, self.recipient or self.user_id or ""}
        return sorted(known)

    def is_in(self, body: bytes) -> bool:
        """Whether a message is for them, goes to them as well, or has their address in its content."""
        try:
            content = json.loads(body)
        except (ValueError, RecursionError):
            return self.is_named_in(body.decode(errors="replace"))
        fields = content if isinstance(content, dict) else {}
        if self.recipient is None:
            return str(fields.get("user_id")) == self.user_id
        addresses = (text for name in self._fields for text in _strings(fields.get(name)))
        return self.recipient in map(normal, addresses) or any(
            map(self.is_named_in, _strings(content))
        )

    def is_named_in(self, text: str) -> bool:
        """Whether a text that is no JSON names them, and not another whose address ends or begins alike."""
        return self._text.search(text) is not None


def _address(recipient: str) -> str:
    """A pattern that finds an address in a text, and no longer one that it is part of."""
    local, at, domain = recipient.rpartition("@")
    if "://" in recipient:
        return rf"{re.escape(recipient)}(?![\w/?&=#%~+-]|[.,;:]\w)"
    if at:
        return (
            rf"(?<![\w.+%-])(?<!\w['&]){re.escape(local)}@(?i:{re.escape(domain)})(?![\w%-]|\.\w)"
        )
    if re.fullmatch(r"\+[0-9]+", recipient):
        return rf"(?<![\w+]){re.escape(recipient)}(?!\w)"
    return "(?!)"  # a word, which means anyone in a text


def _strings(value: Any) -> Iterator[str]:
    """Every text in a JSON value, however deep."""
    rest = [value]
    while rest:
        value = rest.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            rest.extend(value)
        elif isinstance(value, dict):
            rest.extend((*value, *value.values()))


@dataclass(frozen=True, slots=True)
class PersonalRecords:
    """What is stored of a person."""

    ended: list[UUID] = field(default_factory=list)
    """Notifications."""
    unfinished: list[UUID] = field(default_factory=list)
    closed: list[UUID] = field(default_factory=list)
    """Dead letters."""
    open: list[UUID] = field(default_factory=list)
    replaying: list[UUID] = field(default_factory=list)
    without_tenant: list[UUID] = field(default_factory=list)
    """Dead letters that may be another tenant's: they name none, and their notification is not among these."""
    recipients: set[str] = field(default_factory=set)
    """Whom these are for: not only the person, where others have their address in the content."""


@dataclass(frozen=True, slots=True)
class Erased:
    """How many rows were changed."""

    notifications: int
    dead_letters: int
    keys: int


class Erasures:
    """Finds what is stored of a person, and erases it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, person: Person) -> PersonalRecords:
        """Everything, however long it takes: for an address every notification is looked at.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable.
        """
        traces = PersonalRecords()
        async with self._database.connection() as connection:
            async for row in _notifications(connection, person):
                if (
                    person.recipient is None
                    or row["recipient"] == person.recipient
                    or person.is_in(row["body"])
                ):
                    (traces.ended if row["ended"] else traces.unfinished).append(row["id"])
                    traces.recipients.add(row["recipient"])
            places = {"open": traces.open, "replaying": traces.replaying}
            known = [*traces.ended, *traces.unfinished]
            who = (person.recipient, person.user_id, person.longest_word, known, person.tenant)
            async for row in _rows(connection, DEAD_LETTERS, *who):
                if not (row["theirs"] or any(map(person.is_in, (row["body"], row["headers"])))):
                    continue
                if not row["of_tenant"]:
                    traces.without_tenant.append(row["id"])
                else:
                    places.get(row["state"], traces.closed).append(row["id"])
                    traces.recipients.add(row["recipient"] or "")
        return traces

    async def erase(self, traces: PersonalRecords, *, actor: str, why: str) -> Erased:
        """Erase dead letters that are closed, then what has ended. Each keeps who did it, when and why.

        In this order because some dead letters are found by their notification alone: whatever interrupts it,
        the rest is found again.
        """
        dead_letters = notifications = keys = 0
        for ids in _batches([*traces.closed, *traces.open]):
            async with self._database.connection() as connection:
                dead_letters += _count(
                    await connection.execute(ERASE_DEAD_LETTERS, ids, actor, why)
                )
        for ids in _batches(traces.ended):
            async with self._database.transaction() as connection:
                keys += await connection.fetchval(ERASE_KEYS, ids)
                notifications += _count(await connection.execute(ERASE, ids, actor, why))
        return Erased(notifications, dead_letters, keys)

    async def check(self) -> None:
        """Raises `ConfigurationError` if the database's user may not erase."""
        async with self._database.connection() as connection:
            await connection.execute(ERASE_KEYS, [])


async def _notifications(connection: Connection, person: Person) -> AsyncIterator[Any]:
    if person.recipient is None:
        async for row in _rows(connection, BY_USER, person.user_id, person.tenant):
            yield row
        return
    async for since, until in steps(connection, None, None):
        who = (person.recipient, person.longest_word)
        async for row in _rows(connection, BY_ADDRESS, *who, since, until, person.tenant):
            yield row


async def _rows(connection: Connection, statement: str, *values: object) -> AsyncIterator[Any]:
    async with connection.transaction():
        async for row in connection.cursor(statement, *values, prefetch=FETCHED, timeout=LONGEST):
            yield row


def _batches(ids: Sequence[UUID]) -> Iterator[Sequence[UUID]]:
    return (ids[first : first + AT_ONCE] for first in range(0, len(ids), AT_ONCE))


def _count(status: str) -> int:
    """Rows that a statement changed, as PostgreSQL says: `UPDATE 3`, `INSERT 0 3`."""
    return int(status.rpartition(" ")[2])
