"""Step five, record: the attempt and the new state, committed before anything is passed on."""

from collections.abc import Sequence
from typing import Final

from tidings.delivery.attempt import Attempt
from tidings.delivery.outcome import Failure, Outcome, RetryLater, Sent, Undeliverable
from tidings.delivery.ports import Record
from tidings.ledger.database import Database
from tidings.ledger.notifications import recipients
from tidings.ledger.notifications.counting import COUNT_ATTEMPTS, TO_COUNT
from tidings.ledger.notifications.rows import fit
from tidings.ledger.packing import packed, parameters

_TYPES: Final = (
    *("uuid", "int", "int", "text", "float8", "float4", "text", "boolean"),
    *("text", "text", "text", "text", "text", "int", "text"),
)

RECORD: Final = f"""
WITH incoming AS (
    SELECT * FROM unnest({parameters(*_TYPES)})
        AS incoming (id, epoch, attempt, token, started_at, duration_ms, state, possible_duplicate,
                     provider, reference, code, kind, message, retry_delay, reason)
), moved AS (
    UPDATE notifications n
       SET state = i.state, lease_holder = NULL, lease_until = NULL, lapses = 0, dispatch_at = NULL, updated_at = now(),
           finished_at = CASE WHEN i.state = 'retrying' THEN NULL ELSE now() END,
           perhaps_sent = n.perhaps_sent OR n.lapses > 0 OR 'outcome_unknown' IN (coalesce(i.kind, ''), coalesce(n.failure_kind, '')),
           provider = CASE WHEN n.reference IS NULL THEN i.provider ELSE n.provider END,
           reference = coalesce(n.reference, i.reference), reason = i.reason, failure_kind = i.kind,
           failure_code = i.code, failure_message = i.message, retry_delay = i.retry_delay
      FROM incoming i
     WHERE n.id = i.id AND n.epoch = i.epoch AND n.attempt = i.attempt
       AND n.state = 'sending' AND n.lease_holder = i.token
    RETURNING n.id, i.token, i.provider, i.kind, {TO_COUNT}
), counted AS ({COUNT_ATTEMPTS})
INSERT INTO attempts (notification_id, epoch, attempt, started_at, duration_ms, state, provider, reference,
                      code, kind, message, retry_delay, possible_duplicate, worker)
SELECT i.id, i.epoch, i.attempt, to_timestamp(started_at), duration_ms, i.state, i.provider, reference,
       code, i.kind, message, retry_delay, possible_duplicate, token
  FROM incoming i JOIN moved USING (id, token)
RETURNING notification_id AS id, worker AS token
"""

LATE: Final = f"""
WITH incoming AS (
    SELECT * FROM unnest({parameters("uuid", "int", "int", "text", "text")}) AS i (id, epoch, attempt, token, state)
), recorded AS (
    SELECT i.id, i.token FROM attempts a JOIN incoming i
        ON a.notification_id = i.id AND a.epoch = i.epoch AND a.attempt = i.attempt AND a.worker = i.token
), noted AS (
    INSERT INTO transitions (notification_id, epoch, before, after, actor, reason)
    SELECT i.id, i.epoch, n.state, n.state, i.token, 'attempt ' || i.attempt || ' ended as ' || i.state
           || ' after its lease had run out and another worker had taken over'
      FROM incoming i JOIN notifications n USING (id)
     WHERE (i.id, i.token) NOT IN (SELECT id, token FROM recorded)
)
SELECT id, token FROM recorded
"""
"""Those of a batch that could not be recorded: recorded before (the reply was lost), or taken over."""

TRIED: Final = """
INSERT INTO provider_attempts (notification_id, epoch, attempt, position, provider, kind, code, duration_ms)
SELECT * FROM unnest($1::uuid[], $2::int[], $3::int[], $4::int[], $5::text[], $6::text[], $7::text[], $8::float4[])
ON CONFLICT DO NOTHING
"""

POSTPONED: Final = "not sent, no attempt spent"
"""Begins the note of a released claim."""
RELEASE: Final = f"""
WITH released AS (
    UPDATE notifications
       SET state = CASE WHEN attempt > 1 AND retry_delay IS NOT NULL THEN 'retrying' ELSE 'queued' END, attempt = attempt - 1,
           lease_holder = NULL, lease_until = NULL, updated_at = now(), failure_message = $5
     WHERE id = $2 AND epoch = $3 AND attempt = $4 AND state = 'sending' AND lease_holder = $1
    RETURNING id, epoch, state
)
INSERT INTO transitions (notification_id, epoch, before, after, actor, reason)
SELECT id, epoch, 'sending', state, $1, '{POSTPONED}: ' || $5 FROM released
"""
"""Where no attempt of its epoch is recorded, none says in which retry queue it waits: it is queued, whatever its number."""


class Records:
    """Records attempts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, records: Sequence[Record]) -> Sequence[bool]:
        """Store the attempts; per record, whether the lease was still ours.

        Where it was not, another worker had taken over: that this one sent as well is kept in
        the notification's history, for it may have reached the recipient twice.
        """
        if not records:
            return []
        ordered = sorted(records, key=lambda record: record.attempt.id.int)
        more = [record for record in ordered if _has_more(record.outcome)]
        database = self._database
        async with database.transaction() if more else database.connection() as connection:
            rows = await connection.fetch(RECORD, *_columns(ordered))
            if len(rows) == len(ordered) and not more:
                return [True] * len(records)
            recorded = {(row["id"], row["token"]) for row in rows}
            late = [
                record for record in ordered if (record.attempt.id, record.token) not in recorded
            ]
            if late:
                ids, epochs, numbers, tokens, _, _, states, *_rest = _columns(late)
                before = await connection.fetch(LATE, ids, epochs, numbers, tokens, states)
                recorded |= {(row["id"], row["token"]) for row in before}
            ours = [record for record in more if (record.attempt.id, record.token) in recorded]
            if tried := [record for record in ours if record.provider_attempts]:
                await connection.execute(TRIED, *_provider_attempts(tried))
            if unlike := [record for record in ours if record.recipients]:
                await recipients.keep(connection, unlike)
        return [(record.attempt.id, record.token) in recorded for record in records]

    async def release(self, attempt: Attempt, token: str, why: str) -> None:
        """Release a claim as if it had never been made, but for a line in the history."""
        async with self._database.connection() as connection:
            await connection.execute(
                RELEASE, token, attempt.id, attempt.epoch, attempt.number, fit(why)
            )


def _columns(records: Sequence[Record]) -> list[list[object]]:
    rows = [
        (
            record.attempt.id,
            record.attempt.epoch,
            record.attempt.number,
            record.token,
            record.started_at.timestamp(),  # a number costs the driver less than half of what a time does
            record.duration * 1000,
            record.state,
            record.possible_duplicate,
            *_told(record.outcome),
        )
        for record in records
    ]
    return packed(map(list, zip(*rows, strict=True)))


def _provider_attempts(records: Sequence[Record]) -> list[list[object]]:
    rows = [
        (
            record.attempt.id,
            record.attempt.epoch,
            record.attempt.number,
            place,
            each.provider,
            each.kind,
            fit(each.code),
            each.duration * 1000,
        )
        for record in records
        for place, each in enumerate(record.provider_attempts, start=1)
    ]
    return [list(column) for column in zip(*rows, strict=True)]


def _told(outcome: Outcome) -> tuple[object, ...]:
    """provider, reference, code, kind, message, retry_delay, reason."""
    match outcome:
        case Sent(provider=provider, reference=reference, code=code):
            return (_word(provider), _word(reference), _word(code), None, None, None, None)
        case RetryLater(failure=failure, delay=delay):
            return (*_failure(failure), delay.seconds, None)
        case Undeliverable(failure=failure, reason=reason):
            return (*_failure(failure), None, reason.value)


def _failure(failure: Failure) -> tuple[str | None, ...]:
    texts = (failure.provider, failure.reference, failure.code, failure.kind, failure.message)
    return tuple(map(_word, texts))


def _word(text: str) -> str | None:
    return fit(text) if text else None


def _has_more(outcome: Outcome) -> bool:
    """Whether there is more to store than the attempt: of each provider, or of each recipient."""
    result = outcome if isinstance(outcome, Sent) else outcome.failure
    return bool(result.provider_attempts or result.recipients)
