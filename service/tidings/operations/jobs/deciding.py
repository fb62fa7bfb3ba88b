"""Jobs that decide about entries of the outbox: publish them at once, mark them as pending or as failed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from tidings.delivery.errors import InvalidRequest
from tidings.delivery.jobs import JobKind, Plan
from tidings.ledger.jobs.rows import Job
from tidings.ledger.notifications.outbox_entries import EntryStatus, OutboxFilter
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.jobs import choosing
from tidings.operations.jobs.views import JobView
from tidings.operations.outbox import OutboxEntryView

__all__ = ["WAITING", "EntryStatus", "OutboxFilter", "look_at_entries", "sample"]

WAITING: Final = (EntryStatus.PENDING, EntryStatus.RETRYING, EntryStatus.FAILED)
"""Those that can be decided about."""
MEANT: Final = {
    JobKind.RETRY: (EntryStatus.RETRYING, EntryStatus.FAILED),
    JobKind.MARK_PENDING: (EntryStatus.RETRYING, EntryStatus.FAILED),
    JobKind.MARK_FAILED: (EntryStatus.PENDING, EntryStatus.RETRYING),
}
"""Of which statuses, where none is named: the others are so already."""


async def look_at_entries(
    backend: Backend,
    actor: Actor,
    kind: JobKind,
    wanted: OutboxFilter,
    *,
    note: str,
    every: bool = False,
    limit: int | None = None,
    plan: Plan | None = None,
    patience: float | None = None,
) -> Job:
    """Choose entries of the outbox to decide about, as they are now; nothing is done before the job is started.

    Args:
        backend: The connections.
        actor: Who makes it, and is named in their history.
        kind: What is decided.
        wanted: Which entries.
        note: Why; kept in their history and in the audit trail.
        every: All, if there is no filter.
        limit: At most so many, the oldest first.
        plan: How fast it goes.
        patience: Seconds after which it is returned while its items are still being chosen; None: never.

    Raises:
        InvalidRequest: The note is empty, nothing in particular is chosen, or a status is one of which none wait.
    """
    if not note.strip():
        raise InvalidRequest("it is empty: give a reason in a few words", field="note")
    if not (every or wanted.selects):
        raise InvalidRequest("give ids, a filter, or all: true", field="outbox")
    if others := [status for status in wanted.statuses if status not in WAITING]:
        raise InvalidRequest(
            f"{others[0]} entries wait no more: only {', '.join(WAITING)}", field="outbox"
        )
    if not wanted.ids:
        wanted = replace(wanted, statuses=wanted.statuses or MEANT[kind])
    return await choosing.choose(
        *(backend, actor, kind, wanted, _words(wanted)),
        note=note,
        plan=plan,
        limit=limit,
        patience=patience,
    )


def _words(wanted: OutboxFilter) -> Mapping[str, Any]:
    return {
        "ids": len(wanted.ids),
        "statuses": [status.value for status in wanted.statuses],
        "user_id": wanted.user_id,
        "tenant": wanted.tenant,
        "test": wanted.test,
    }


async def sample(backend: Backend, job: JobView, most: int) -> Sequence[OutboxEntryView]:
    """The first entries of a job, as they stand now."""
    ids = await backend.ledger.job_items.first(job.id, most)
    found = await backend.ledger.outbox_entries.find(ids, None)
    return [OutboxEntryView(found[id]) for id in ids if id in found]
