"""Retention: periods, partitions, and a run that deletes what has expired."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final

import structlog

from tidings.delivery.errors import Refused
from tidings.ledger.retention import ANY, FAST, USUAL, RetainedPartition, RetentionStep
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.times import span

__all__ = [
    "PartitionPreview",
    "RetainedPartition",
    "RetentionStep",
    "RetentionView",
    "prepare",
    "preview",
    "run",
    "show",
]

log = structlog.get_logger(__name__)

INBOXES: Final = "inbox_messages"
"""Messages of inboxes, beside the partitions of notifications."""


@dataclass(frozen=True, slots=True)
class RetentionView:
    """Periods in seconds, 0 for ever; and where notifications are."""

    period: float
    by_state: dict[str, float]
    by_tenant: dict[str, dict[str, float]]
    """By tenant and state, `*` for the others."""
    partitions: Sequence[RetainedPartition]
    inbox_read: float
    """Seconds for which messages of inboxes are kept that were read or archived."""
    inbox_unread: float
    """The same of those that were not."""


@dataclass(frozen=True, slots=True)
class PartitionPreview:
    """What a round would do with a week, or the default partition."""

    name: str
    stored: int
    deleted: int
    """Notifications that go: with their week, or row by row."""
    dropped: bool
    """Whether the whole week goes, and what is left of it moves to the default partition."""

    def as_data(self) -> dict[str, object]:
        """The JSON of this view."""
        return asdict(self)


async def show(backend: Backend) -> RetentionView:
    """What is kept for how long, and when each week goes."""
    periods = backend.ledger.retention.periods
    of_tenants = {tenant: dict(own) for tenant, own in periods.by_tenant.items()}
    return RetentionView(
        periods.usual,
        dict(periods.by_state),
        of_tenants,
        await backend.ledger.retention.partitions(),
        backend.ledger.inbox_purging.periods.read,
        backend.ledger.inbox_purging.periods.unread,
    )


async def preview(backend: Backend) -> Sequence[PartitionPreview]:
    """What a round would delete now; reads every notification."""
    retention, today = backend.ledger.retention, datetime.now(UTC).date()
    counts = await retention.counts(today)
    of_partitions = [
        PartitionPreview(
            partition.name,
            counts[partition.name].stored,
            counts[partition.name].over,
            partition.drops_at is not None and partition.drops_at <= today,
        )
        for partition in await retention.partitions()
        if partition.name in counts
    ]
    inboxes = await backend.ledger.inbox_purging.count()
    over = inboxes.over + inboxes.purged
    return [*of_partitions, PartitionPreview(INBOXES, inboxes.stored, over, dropped=False)]


async def prepare(backend: Backend) -> tuple[str, Sequence[PartitionPreview]]:
    """How long a round would keep what has ended, and what it would delete, for a person to confirm.

    Raises:
        Refused: As `run`.
    """
    await _check_that_schedulers_agree(backend)
    return kept(backend.ledger.retention.periods.stated), await preview(backend)


async def run(backend: Backend, actor: Actor, *, fast: bool = False) -> Sequence[RetentionStep]:
    """One round, now; nothing if a scheduler is at it. Who ran it, with which periods, is kept.

    Args:
        fast: Without pauses, at the expense of what else uses the database.

    Raises:
        Refused: A scheduler that runs keeps what has ended for another time than these settings say.
        LedgerUnavailable: A table was in use for too long: ask again.
        ConfigurationError: The database's user may not.
    """
    await _check_that_schedulers_agree(backend)
    retention, note = backend.ledger.retention, backend.ledger.actions.note
    periods = dict(retention.periods.stated)
    await note(str(actor), "retention run", "", {"began": periods})
    today, shares = datetime.now(UTC).date(), FAST if fast else USUAL
    done = [step async for step in retention.run(today, shares)]
    if done:
        done.append(await _purge_inboxes(backend))
    steps = [asdict(step) for step in done]
    await note(str(actor), "retention run", "", {"ended": steps})
    log.warning("retention run by operator", actor=str(actor), periods=periods, done=steps)
    return done


async def _purge_inboxes(backend: Backend) -> RetentionStep:
    deleted = 0
    async for step in backend.ledger.inbox_purging.run():
        backend.inbox_hints.announce(step.changes)
        deleted += step.emptied + step.purged
    return RetentionStep(INBOXES, deleted)


def kept(periods: Mapping[str, float]) -> str:
    """For how long what has ended is kept, in words: `for 30d; failed: for 90d; acme: for 7d; acme failed: for 14d`."""
    others = [
        f"{name.removesuffix(f':{ANY}').replace(':', ' ')}: {in_words(period)}"
        for name, period in periods.items()
        if name != ANY
    ]
    return "; ".join([in_words(periods[ANY]), *others])


def in_words(seconds: float) -> str:
    """`for 30d`, or `for ever`."""
    return f"for {span(seconds)}" if seconds else "for ever"


async def _check_that_schedulers_agree(backend: Backend) -> None:
    ours = backend.ledger.retention.periods.stated
    for process in await backend.ledger.processes.known():
        if process.running and process.retention is not None and process.retention != ours:
            raise Refused(
                f"the scheduler {process.host}:{process.pid} keeps notifications {kept(process.retention)}, but this "
                f"command would keep them {kept(ours)}: give it the scheduler's TIDINGS_RETENTION, "
                "TIDINGS_RETENTION_BY_STATE and TIDINGS_RETENTION_BY_TENANT; nothing was deleted"
            )
