"""The database's tables, brought to the version this Tidings needs."""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from tidings.ledger.migrate import migrate, migration_state
from tidings.operations.actor import Actor
from tidings.settings import Settings

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class MigrationView:
    """Versions of the tables."""

    before: str | None
    """None: there were no tables."""
    after: str | None
    needed: str


async def update(
    settings: Settings, actor: Actor, waits: Callable[[], None], *, force: bool = False
) -> MigrationView:
    """Create or update the tables; safe at every start, and from several places at once. The log keeps the actor.

    Args:
        waits: Called before each further try to lock a table that is in use.
        force: Also while processes run that can't work with the new tables.

    Raises:
        Refused: Such processes run; nothing was changed.
    """
    url = settings.ledger.database_url.get_secret_value()
    before = await migration_state(url)
    if before.ok:
        return MigrationView(before.current, before.current, before.needed)
    after = await migrate(url, waits=waits, force=force)
    log.info("tables migrated", actor=str(actor), before=before.current, after=after.current)
    return MigrationView(before.current, after.current, after.needed)
