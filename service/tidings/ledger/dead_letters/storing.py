"""Step eight, archive: stores dead letters, and ends notifications that are not ended yet."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final
from uuid import UUID, uuid5

from tidings.delivery.archiving import NotificationStatus, Store, Wait, decide
from tidings.delivery.dead_letter import DeadLetterState
from tidings.delivery.errors import LedgerUnavailable
from tidings.ledger.database import Connection, Database
from tidings.ledger.dead_letters.rows import (
    NAMES,
    PARAMETERS,
    STANDING,
    ArchiveRequest,
    DeadLetterEntry,
    Introduced,
    columns,
    status,
)
from tidings.ledger.notifications import rows
from tidings.ledger.notifications.counting import COUNT_ENDS

KNOWN: Final = "SELECT id, sha256(body) AS content FROM dead_letters WHERE id = ANY($1::uuid[])"

PROPERTIES: Final = """
       coalesce(properties,
                (SELECT n.properties FROM notifications n WHERE n.id = incoming.notification_id),
                (SELECT d.properties FROM dead_letters d
                  WHERE d.notification_id = incoming.notification_id AND d.properties <> '{}' ORDER BY d.dead_lettered_at LIMIT 1),
                '{}')
"""
"""What was replayed, or waited for its time, comes without those that its producer set: they are here already."""

STORE: Final = f"""
INSERT INTO dead_letters ({NAMES}, first_failed_at, last_failed_at)
SELECT {NAMES.replace("attempts", "greatest(attempts, made.count)").replace("properties", PROPERTIES)},
       coalesce(made.first, dead_lettered_at), coalesce(made.last, dead_lettered_at)
  FROM unnest({PARAMETERS}) AS incoming ({NAMES}),
       LATERAL (SELECT count(*)::int AS count, min(ended) AS first, max(ended) AS last
                  FROM (SELECT a.started_at + a.duration_ms * interval '1 millisecond' AS ended FROM attempts a
                         WHERE a.notification_id = incoming.notification_id AND a.epoch = incoming.epoch) AS tries
               ) AS made
ON CONFLICT (id) DO NOTHING
RETURNING id
"""

INTRODUCE: Final = f"""
WITH added AS (
    INSERT INTO notifications ({rows.COLUMNS.names}, attempt, epoch, state, finished_at,
                               reason, failure_kind, failure_code, failure_message, provider)
    SELECT {rows.COLUMNS.names}, attempt, epoch, after, now(), reason, kind, code, message, nullif(provider, '')
      FROM unnest({rows.COLUMNS.parameters("int", "int", "text", "text", "text", "text", "text", "text", after=1)})
        AS incoming ({rows.COLUMNS.names}, attempt, epoch, after, reason, kind, code, message, provider)
    ON CONFLICT (id) DO NOTHING
    RETURNING id, epoch, state, failure_message, tenant, test, channel, category, reason AS outcome, provider, failure_kind AS kind
), counted AS ({COUNT_ENDS.format(ended="added")})
INSERT INTO transitions (notification_id, epoch, before, after, actor, reason)
SELECT id, epoch, 'queued', state, $1::text, 'dead letter: ' || failure_message FROM added
"""

END: Final = f"""
WITH moved AS (
    UPDATE notifications n
       SET state = after, finished_at = now(), updated_at = now(), lease_holder = NULL, lease_until = NULL, lapses = 0,
           perhaps_sent = n.perhaps_sent OR ended.reason = 'outcome_unknown', dispatch_at = NULL, reason = ended.reason, failure_kind = kind, failure_code = code,
           failure_message = message, provider = nullif(ended.provider, '')
      FROM unnest($2::text[], $3::uuid[], $4::int[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[])
        AS ended (before, id, epoch, after, reason, kind, code, message, provider)
     WHERE n.id = ended.id AND n.epoch = ended.epoch AND n.state = before
    RETURNING n.id, n.epoch, before, after, message, n.tenant, n.test, n.channel, n.category, n.reason AS outcome, n.provider, n.failure_kind AS kind
), counted AS ({COUNT_ENDS.format(ended="moved")})
INSERT INTO transitions (notification_id, epoch, before, after, actor, reason)
SELECT id, epoch, before, after, $1::text, 'dead letter: ' || message FROM moved
"""


@dataclass(frozen=True, slots=True)
class Archived:
    """A dead letter is stored."""

    entry: DeadLetterEntry
    new: bool
    """False where it had been stored before: it was delivered again."""


@dataclass(frozen=True, slots=True)
class _Case:
    """A dead letter that is to be stored, and how its notification stood before."""

    request: ArchiveRequest
    before: NotificationStatus | None
    decision: Store


class Archiving:
    """Stores dead letters.

    Args:
        actor: Named in the history of the notifications that a dead letter ends.
    """

    def __init__(self, database: Database, *, actor: str) -> None:
        self._database = database
        self._actor = actor

    async def store(self, requests: Sequence[ArchiveRequest]) -> Sequence[Archived | Wait]:
        """Store dead letters and what they mean for their notifications, in one transaction.

        Returns:
            For each, in order: that it is stored, or until when a worker may still be sending it.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable: nothing is stored.
        """
        async with self._database.transaction() as connection:
            decided = await _decide(connection, requests)
            cases = [case for case in decided if isinstance(case, _Case)]
            stored = iter(await _store(connection, [_entry(case.decision) for case in cases]))
            await self._end(connection, [case for case in cases if case.decision.becomes])
        return [decision if isinstance(decision, Wait) else next(stored) for decision in decided]

    async def _end(self, connection: Connection, cases: Sequence[_Case]) -> None:
        """End the notifications of these dead letters that are not ended yet."""
        if known := [case for case in cases if case.before is not None]:
            before = [str(case.before.state) for case in known if case.before is not None]
            ids, epochs, *ends = _columns(known)
            await connection.execute(END, self._actor, before, ids, epochs, *ends)
        if new := [case for case in cases if case.before is None]:
            stored = [Introduced(case.request.attempt, case.request.expires_at) for case in new]
            _, epochs, *ends = _columns(new)
            attempts = [introduced.attempt.number for introduced in stored]
            values = rows.columns(stored)
            await connection.execute(
                *rows.by_itself(INTRODUCE, self._actor, *values, attempts, epochs, *ends)
            )


async def _decide(connection: Connection, requests: Sequence[ArchiveRequest]) -> list[_Case | Wait]:
    ids = {id for request in requests if (id := request.dead_letter.notification_id) is not None}
    found = await connection.fetch(STANDING, sorted(ids))
    now = found[0]["now"] if found else datetime.now(UTC)
    statuses: dict[UUID, NotificationStatus] = {row["id"]: status(row) for row in found}
    return [_decide_one(request, statuses, now) for request in requests]


def _decide_one(
    request: ArchiveRequest, statuses: dict[UUID, NotificationStatus], now: datetime
) -> _Case | Wait:
    """Decide, and let the next dead letter of the same notification see what this one changed."""
    dead_letter = request.dead_letter
    key = dead_letter.notification_id
    before = statuses.get(key) if key is not None else None
    decision = decide(dead_letter, before, now)
    if isinstance(decision, Wait):
        return decision
    if decision.becomes is not None and key is not None:
        statuses[key] = NotificationStatus(
            decision.becomes, dead_letter.epoch, dead_letter.attempts
        )
    return _Case(request, before, decision)


def _entry(decision: Store) -> DeadLetterEntry:
    """A dead letter that is closed from the start must not be taken for the one that is yet to come."""
    dead_letter = decision.dead_letter
    closed = decision.state is not DeadLetterState.OPEN
    identity = uuid5(dead_letter.id, "closed") if closed else dead_letter.id
    return DeadLetterEntry(identity, dead_letter, decision.state, decision.note)


async def _store(connection: Connection, entries: Sequence[DeadLetterEntry]) -> Sequence[Archived]:
    """Store what is not stored yet. Another body under the same id is another dead letter."""
    others = [_otherwise(entry) for entry in entries]
    ids = [entry.id for entry in (*entries, *others)]
    known = {row["id"]: row["content"] for row in await connection.fetch(KNOWN, ids)}
    stored = []
    for entry, other in zip(entries, others, strict=True):
        content = sha256(entry.dead_letter.body).digest()
        chosen = entry if known.get(entry.id, content) == content else other
        stored.append(Archived(chosen, new=chosen.id not in known))
        known[chosen.id] = content
    new = [archived.entry for archived in stored if archived.new]
    if new and len(await connection.fetch(*rows.by_itself(STORE, *columns(new)))) < len(new):
        raise LedgerUnavailable(
            "another archive stored one of these dead letters at the same time; storing them again"
        )
    return stored


def _otherwise(entry: DeadLetterEntry) -> DeadLetterEntry:
    return replace(entry, id=uuid5(entry.id, sha256(entry.dead_letter.body).hexdigest()))


def _columns(cases: Sequence[_Case]) -> list[list[object]]:
    """id, epoch, state, reason, kind, code, message, provider."""
    ends = [
        (
            dead_letter.notification_id,
            dead_letter.epoch,
            str(case.decision.becomes),
            dead_letter.reason.value,
            dead_letter.failure.kind,
            dead_letter.failure.code,
            dead_letter.failure.message,
            dead_letter.failure.provider,
        )
        for case in cases
        for dead_letter in (case.decision.dead_letter,)
    ]
    return [list(column) for column in zip(*ends, strict=True)]
