"""The database's tables, brought to the version this Tidings needs."""

from collections.abc import Callable
from dataclasses import dataclass

from tidings.ledger.migrate import migrate, migration_state
from tidings.settings import Settings


@dataclass(frozen=True, slots=True)
class MigrationView:
    """Versions of the tables."""

    before: str | None
    """None: there were no tables."""
    after: str | None
    needed: str


async def update(settings: Settings, waits: Callable[[], None]) -> MigrationView:
    """Create or update the tables; safe at every start, and from several places at once.

    Args:
        waits: Called before each further try to lock a table that is in use.
    """
    url = settings.ledger.database_url.get_secret_value()
    before = await migration_state(url)
    after = before if before.ok else await migrate(url, waits=waits)
    return MigrationView(before.current, after.current, after.needed)
