"""Step five, record: the attempt and the new state, committed before anything is passed on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from tidings.delivery.attempt import Attempt
from tidings.delivery.outcome import Outcome, RetryLater, Sent, Undeliverable
from tidings.delivery.states import State
from tidings.ledger.database import Database

log = structlog.get_logger(__name__)

RECORD: Final = """
WITH incoming AS (
    SELECT * FROM unnest(
        $2::uuid[], $3::int[], $4::int[], $5::timestamptz[], $6::float4[], $7::text[], $8::boolean[],
        $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::int[], $15::text[]
    ) AS incoming (id, epoch, attempt, started_at, duration_ms, state, possible_duplicate,
                   provider, reference, code, kind, message, retry_delay, reason)
), moved AS (
    UPDATE notifications n
       SET state = i.state, lease_holder = NULL, lease_until = NULL, lapses = 0, updated_at = now(),
           finished_at = CASE WHEN i.state = 'retrying' THEN NULL ELSE now() END,
           provider = i.provider, reference = i.reference, reason = i.reason, failure_kind = i.kind,
           failure_code = i.code, failure_message = i.message, retry_delay = i.retry_delay
      FROM incoming i
     WHERE n.id = i.id AND n.epoch = i.epoch AND n.attempt = i.attempt
       AND n.state = 'sending' AND n.lease_holder = $1
    RETURNING n.id
)
INSERT INTO attempts (notification_id, epoch, attempt, started_at, duration_ms, state, provider, reference,
                      code, kind, message, retry_delay, possible_duplicate, worker)
SELECT id, epoch, attempt, started_at, duration_ms, state, provider, reference,
       code, kind, message, retry_delay, possible_duplicate, $1
  FROM incoming JOIN moved USING (id)
RETURNING notification_id
"""

LATE: Final = """
INSERT INTO transitions (notification_id, epoch, before, after, actor, reason)
SELECT i.id, i.epoch, n.state, n.state, $1, 'attempt ' || i.attempt || ' ended as ' || i.state
       || ' after its lease had run out and another worker had taken over'
  FROM unnest($2::uuid[], $3::int[], $4::int[], $5::text[]) AS i (id, epoch, attempt, state)
  JOIN notifications n USING (id)
"""

RELEASE: Final = """
WITH released AS (
    UPDATE notifications
       SET state = CASE WHEN attempt > 1 THEN 'retrying' ELSE 'queued' END, attempt = attempt - 1,
           lease_holder = NULL, lease_until = NULL, updated_at = now(), failure_message = $5
     WHERE id = $2 AND epoch = $3 AND attempt = $4 AND state = 'sending' AND lease_holder = $1
    RETURNING id, epoch, state
)
INSERT INTO transitions (notification_id, epoch, before, after, actor, reason)
SELECT id, epoch, 'sending', state, $1, 'not sent, no attempt spent: ' || $5 FROM released
"""


@dataclass(frozen=True, slots=True)
class Record:
    """What became of one attempt."""

    attempt: Attempt
    outcome: Outcome
    started_at: datetime
    duration: float
    """Seconds."""
    possible_duplicate: bool = False

    @property
    def state(self) -> State:
        """The state that the outcome leads to."""
        match self.outcome:
            case Sent():
                return State.SENT
            case RetryLater():
                return State.RETRYING
            case Undeliverable(reason=reason):
                return reason.state


class Records:
    """Records the attempts of one worker."""

    def __init__(self, database: Database, *, worker: str) -> None:
        self._database = database
        self._worker = worker

    async def record(self, records: Sequence[Record]) -> Sequence[bool]:
        """Store the attempts; per record, whether the lease was still ours.

        Where it was not, another worker had taken over: that this one sent as well is kept in
        the notification's history, for it may have reached the recipient twice.
        """
        ordered = sorted(records, key=lambda one: one.attempt.id)
        async with self._database.transaction() as connection:
            rows = await connection.fetch(RECORD, self._worker, *_columns(ordered))
            recorded = {row["notification_id"] for row in rows}
            late = [one for one in ordered if one.attempt.id not in recorded]
            if late:
                ids, epochs, numbers, _, _, states, *_rest = _columns(late)
                await connection.execute(LATE, self._worker, ids, epochs, numbers, states)
        for one in late:
            log.warning("recorded after its lease ran out", id=str(one.attempt.id), state=one.state)
        return [one.attempt.id in recorded for one in records]

    async def release(self, attempt: Attempt, why: str) -> None:
        """Give a claim back as if it had never been made; only the history remembers."""
        async with self._database.connection() as connection:
            await connection.execute(
                RELEASE, self._worker, attempt.id, attempt.epoch, attempt.number, why
            )


def _columns(records: Sequence[Record]) -> list[list[object]]:
    rows = [
        (
            one.attempt.id,
            one.attempt.epoch,
            one.attempt.number,
            one.started_at,
            one.duration * 1000,
            one.state.value,
            one.possible_duplicate,
            *_told(one.outcome),
        )
        for one in records
    ]
    return [list(column) for column in zip(*rows, strict=True)]


def _told(outcome: Outcome) -> tuple[object, ...]:
    """provider, reference, code, kind, message, retry_delay, reason."""
    match outcome:
        case Sent(provider=provider, reference=reference, code=code):
            return provider, reference or None, code or None, None, None, None, None
        case RetryLater(failure=failure, delay=delay):
            return (
                failure.provider or None,
                None,
                failure.code or None,
                failure.kind,
                failure.message,
                delay.seconds,
                None,
            )
        case Undeliverable(failure=failure, reason=reason):
            return (
                failure.provider or None,
                None,
                failure.code or None,
                failure.kind,
                failure.message,
                None,
                reason.value,
            )
