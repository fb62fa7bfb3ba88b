"""How migrations get the locks they need from a system that is running."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from alembic import op

LOCK_TIMEOUT: Final = 2
"""Seconds that a migration waits for a table. All others who want it wait behind the migration meanwhile. Longer
than `deadlock_timeout` (1 s), after which an autovacuum that has the table is sent away."""
INDEX_PATIENCE: Final = 600
"""Seconds that an index build waits for older transactions; no statement waits behind it."""


@contextmanager
def without_waiting() -> Iterator[None]:
    """For long statements that block no others: each commits alone, with everything before it."""
    with op.get_context().autocommit_block():
        op.execute(f"SET lock_timeout = '{INDEX_PATIENCE}s'")
        yield
        op.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}s'")


def create_index(name: str, definition: str, *, unique: bool = False) -> None:
    """Build an index while the table is written to: `CREATE INDEX CONCURRENTLY name ON definition`.

    It commits what its migration did before, so it is the only thing in its migration, or all of it may be run twice.
    Where it is cut off, the index is there and not valid: the next run takes it away and begins again.
    """
    with without_waiting():
        if not _is_valid(name):
            kind = "UNIQUE INDEX" if unique else "INDEX"
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.execute(f"CREATE {kind} CONCURRENTLY {name} ON {definition}")


def drop_index(name: str) -> None:
    """Drop an index while the table is used. Commits like `create_index`."""
    with without_waiting():
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")


def _is_valid(name: str) -> bool:
    found = op.get_bind().exec_driver_sql(
        f"SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('{name}')"
    )
    return found.scalar() is True
