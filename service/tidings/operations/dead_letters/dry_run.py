"""Dry run of a replay."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from tidings.ledger.dead_letters.choice import NotReplayed
from tidings.ledger.dead_letters.rows import ExpiresAt
from tidings.ledger.dead_letters.search import Chosen
from tidings.ledger.ledger import PostgresLedger
from tidings.ledger.steps import NO_LIMIT, TimeLimit
from tidings.operations.dead_letters.pacing import FEW, batches


@dataclass(slots=True)
class ReplayDryRunTotals:
    """What a replay would do."""

    replayed: int = 0
    """Would be back in their lanes."""
    later: int = 0
    """Of these, stored until their `scheduled_at`."""
    doubtful: int = 0
    """Of these, those that may have been delivered before, and would be a second time."""
    not_replayed: list[NotReplayed] = field(default_factory=list)
    checked: int = 0
    """Dead letters that all of this is said of: the first of those chosen."""


async def dry_run(
    ledger: PostgresLedger,
    dead_letters: Sequence[Chosen],
    expires_at: ExpiresAt,
    *,
    force: bool,
    clock: TimeLimit = NO_LIMIT,
) -> ReplayDryRunTotals:
    """Have the ledger decide as it would for a replay of these dead letters; nothing changes.

    Args:
        clock: When it is over, no more are looked at; some are in any case.

    Raises:
        LedgerUnavailable: PostgreSQL is unavailable.
    """
    totals, begun = ReplayDryRunTotals(), set[UUID]()
    for batch in batches(dead_letters, None, FEW):
        if totals.checked and clock.over:
            break
        totals.checked += len(batch)
        done = await ledger.dead_letters.replays.dry_run(
            [dead_letter.id for dead_letter in batch], expires_at=expires_at, force=force, but=begun
        )
        begun.update(done.notifications)
        totals.replayed += len(done.notifications)
        totals.later += done.later
        totals.doubtful += done.doubtful
        totals.not_replayed += done.not_replayed
    return totals
