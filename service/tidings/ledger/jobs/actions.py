"""What jobs do with a batch of their items.

A batch locks its items, acts and stores the results in one transaction: whoever works on a job, and whenever it is
killed, nothing is done twice.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final
from uuid import UUID

from tidings.delivery.dead_letter import DeadLetterState
from tidings.ledger.database import Connection, Database
from tidings.ledger.dead_letters.choice import Objection, no_objection
from tidings.ledger.dead_letters.closing import discard
from tidings.ledger.dead_letters.editing import Change, Editing, Edits, NoEdit
from tidings.ledger.dead_letters.replay import Begun, Replays
from tidings.ledger.dead_letters.rows import ExpiresAt
from tidings.ledger.jobs.rows import Job, OpenItem
from tidings.ledger.notifications.changes import Cancelled, cancel
from tidings.ledger.notifications.outbox_entries import (
    EnteredNotification,
    EntryDecision,
    EntryStatus,
    decide,
    find,
)

REPLAYED: Final = "replayed"
SCHEDULED: Final = "scheduled"
DISCARDED: Final = "discarded"
EDITED: Final = "edited"
NOT_OPEN: Final = "not_open"
CANCELLED: Final = "cancelled"
NOT_CANCELLED: Final = "not_cancelled"
NOT_WAITING: Final = "not_waiting"
DECIDED: Final = {
    EntryDecision.RETRY: "retried",
    EntryDecision.MARK_PENDING: "marked_pending",
    EntryDecision.MARK_FAILED: "marked_failed",
}
"""Results; of a dead letter that is not replayed or edited it is the code of its refusal."""
DOUBT: Final = "it may have been delivered before"

HELD: Final = "SELECT FROM jobs WHERE id = $1 AND holder = $2 AND state = 'running'"

LOCK: Final = """
SELECT i.position, i.item
  FROM unnest(array_fill($1::uuid, ARRAY[cardinality($2::int[])]), $2) AS waiting (job, position) JOIN job_items i USING (job, position)
 WHERE i.result IS NULL
 ORDER BY i.position FOR UPDATE OF i SKIP LOCKED
"""
"""A job in each row, not one that PostgreSQL knows: it has no statistics of a new job's items, takes them for one, and would read all of
them for each batch."""

RECORD: Final = """
UPDATE job_items i SET result = done.result, detail = done.detail, superseded_by = done.superseded_by
  FROM unnest(array_fill($1::uuid, ARRAY[cardinality($2::int[])]), $2::int[], $3::text[], $4::text[], $5::uuid[])
    AS done (job, position, result, detail, superseded_by)
 WHERE i.job = done.job AND i.position = done.position
"""
"""As `LOCK`: each would be compared with each."""

STATES: Final = "SELECT id, state, actor FROM dead_letters WHERE id = ANY($1::uuid[])"

NOTHING: Final = Begun((), None, 0, ())

Results = Mapping[UUID, tuple[str, str | None]]
"""By item: the result, and its detail."""


class JobActions:
    """What is done with the items of jobs.

    Args:
        replays: Takes dead letters.
        editing: Supersedes them.
    """

    def __init__(self, database: Database, replays: Replays, editing: Editing) -> None:
        self._database = database
        self._replays = replays
        self._editing = editing

    async def replay(
        self,
        job: Job,
        holder: str,
        items: Sequence[OpenItem],
        expires_at: ExpiresAt,
        objection: Objection = no_objection,
    ) -> tuple[Begun, Mapping[str, int]] | None:
        """Take dead letters, queue their notifications and store the results, in one transaction.

        Args:
            job: As it was taken.
            holder: Who works on it.
            items: Those of a batch; what has a result by now is left out.
            expires_at: When a notification stops being worth delivering.
            objection: Why its template can't be used.

        Returns:
            What is to be published, and how many got which result; None if the job is no longer to be worked on.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable: nothing was done.
        """
        async with self._database.transaction() as connection:
            locked = await _locked(connection, job, holder, items)
            if locked is None:
                return None
            begun = await self._replays.begin_in(
                connection,
                list(locked.values()),
                job.id,
                expires_at=expires_at,
                actor=job.actor,
                force=job.plan.force,
                objection=objection,
            )
            counts = await _record(connection, job, locked, _of_replay(begun))
        return begun, counts

    async def discard(
        self, job: Job, holder: str, items: Sequence[OpenItem]
    ) -> Mapping[str, int] | None:
        """Close dead letters and store the results, as `replay` does."""
        async with self._database.transaction() as connection:
            locked = await _locked(connection, job, holder, items)
            if locked is None:
                return None
            ids = sorted(locked.values())
            closed = await discard(connection, ids, job.note, actor=job.actor)
            results: dict[UUID, tuple[str, str | None]] = dict.fromkeys(closed, (DISCARDED, None))
            left = [id for id in ids if id not in results]
            why = await _why_not_open(connection, left)
            results |= {id: (NOT_OPEN, why[id]) for id in left}
            return await _record(connection, job, locked, results)

    async def edit(
        self,
        job: Job,
        holder: str,
        items: Sequence[OpenItem],
        change: Change,
        expires_at: ExpiresAt,
        objection: Objection = no_objection,
    ) -> tuple[Begun, Mapping[str, int]] | None:
        """Supersede dead letters by edited ones, take these if they are to be replayed, and store the results, in one
        transaction.

        Args:
            job: As it was taken.
            holder: Who works on it.
            items: As for `replay`.
            change: What is to be different.
            expires_at: As for `replay`.
            objection: As for `replay`.

        Returns:
            As `replay`; nothing is to be published if the job does not replay.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable: nothing was done.
        """
        async with self._database.transaction() as connection:
            locked = await _locked(connection, job, holder, items)
            if locked is None:
                return None
            ids = list(locked.values())
            edits = await self._editing.edit_in(
                *(connection, ids, change), expires_at=expires_at, actor=job.actor, note=job.note
            )
            new = {edited.dead_letter: edited.new for edited in edits.edited}
            begun = NOTHING
            if job.then_replay:
                begun = await self._replays.begin_in(
                    *(connection, [*new.values(), *edits.unchanged], job.id),
                    expires_at=expires_at,
                    actor=job.actor,
                    objection=objection,
                )
            closed = [it.dead_letter for it in edits.not_edited if it.reason is NoEdit.NOT_OPEN]
            results = _of_edit(edits, begun, await _why_not_open(connection, closed))
            counts = await _record(connection, job, locked, results, new)
        return begun, counts

    async def cancel(
        self, job: Job, holder: str, items: Sequence[OpenItem]
    ) -> Mapping[str, int] | None:
        """Cancel notifications and store the results, as `replay` does."""
        async with self._database.transaction() as connection:
            locked = await _locked(connection, job, holder, items)
            if locked is None:
                return None
            results: dict[UUID, tuple[str, str | None]] = {}
            for id in sorted(locked.values()):
                done = await cancel(connection, id, actor=job.actor, reason=job.note)
                match done:
                    case Cancelled():
                        results[id] = CANCELLED, DOUBT if done.perhaps_sent else None
                    case _:
                        results[id] = NOT_CANCELLED, done or "there is no such notification"
            return await _record(connection, job, locked, results)

    async def decide(
        self, job: Job, holder: str, items: Sequence[OpenItem]
    ) -> Mapping[str, int] | None:
        """Decide about entries of the outbox and store the results, as `replay` does.

        What somebody decided about since the items were chosen stays as they left it.
        """
        async with self._database.transaction() as connection:
            locked = await _locked(connection, job, holder, items)
            if locked is None:
                return None
            ids, decision = list(locked.values()), EntryDecision(job.kind.value)
            changed = await decide(
                connection, decision, ids, job.actor, job.note, unless_since=job.seen_at
            )
            results: dict[UUID, tuple[str, str | None]] = dict.fromkeys(
                changed, (DECIDED[decision], None)
            )
            left = [id for id in ids if id not in changed]
            found = await find(connection, left, None) if left else {}
            results |= {id: _undecided(found.get(id), job.seen_at) for id in left}
            return await _record(connection, job, locked, results)


async def _locked(
    connection: Connection, job: Job, holder: str, items: Sequence[OpenItem]
) -> dict[int, UUID] | None:
    """Items without a result by their positions; None if the job is no longer to be worked on."""
    if await connection.fetchrow(HELD, job.id, holder) is None:
        return None
    rows = await connection.fetch(LOCK, job.id, [item.position for item in items])
    return {row["position"]: row["item"] for row in rows}


async def _record(
    connection: Connection,
    job: Job,
    locked: Mapping[int, UUID],
    results: Results,
    new: Mapping[UUID, UUID] = MappingProxyType({}),
) -> Mapping[str, int]:
    values = [
        (position, *results[item], new.get(item))
        for position, item in locked.items()
        if item in results
    ]
    columns = [list(column) for column in zip(*values, strict=True)] or [[], [], [], []]
    await connection.execute(RECORD, job.id, *columns)
    counts: dict[str, int] = {}
    for result, _ in results.values():
        counts[result] = counts.get(result, 0) + 1
    return counts


def _of_replay(begun: Begun) -> Results:
    results: dict[UUID, tuple[str, str | None]] = {
        refusal.dead_letter: (refusal.refusal.value, refusal.message)
        for refusal in begun.not_replayed
    }
    for dead_letter, taken in begun.taken.items():
        result = SCHEDULED if taken.early else REPLAYED
        results[dead_letter] = result, DOUBT if taken.doubtful else None
    return results


def _of_edit(edits: Edits, begun: Begun, why: Mapping[UUID, str]) -> Results:
    """What became of each, by the dead letter that was to be edited."""
    replayed = _of_replay(begun)
    results: dict[UUID, tuple[str, str | None]] = {}
    for edited in edits.edited:
        result, detail = replayed.get(edited.new, (EDITED, None))
        taken = edited.new in begun.taken or edited.new not in replayed
        results[edited.dead_letter] = (
            (result, detail) if taken else (EDITED, f"edited, but not replayed: {detail}")
        )
    for left in edits.not_edited:
        id = left.dead_letter
        results[id] = replayed.get(id, (left.reason.value, why.get(id, left.message)))
    return results


def _undecided(entry: EnteredNotification | None, seen_at: datetime) -> tuple[str, str]:
    """Why nothing was decided about an entry."""
    if entry is None:
        return "no_such_entry", "the outbox has no such entry"
    if entry.status is EntryStatus.CANCELLED:
        return NOT_WAITING, "it was cancelled"
    if entry.status is EntryStatus.SUCCESS:
        return NOT_WAITING, "it has been published"
    if entry.decided_at is not None and entry.decided_at > seen_at:
        about = f": {entry.note}" if entry.note else ""
        return "decided_since", f"{entry.decided_by} decided about it since{about}"
    return NOT_WAITING, "a worker has it"


async def _why_not_open(connection: Connection, left: Sequence[UUID]) -> Mapping[UUID, str]:
    rows = await connection.fetch(STATES, left) if left else []
    found = {row["id"]: (row["state"], row["actor"]) for row in rows}
    return {id: _not_open(*found.get(id, (None, None))) for id in left}


def _not_open(state: str | None, actor: str | None) -> str:
    match state:
        case None:
            return "there is no such dead letter"
        case DeadLetterState.OPEN:
            return "another process was using it"
        case _:
            return f"it is {state}, by {actor}" if actor else f"it is {state}"
