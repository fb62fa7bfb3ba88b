"""Stores notifications, attempts, transitions and dead letters; the only package with SQL."""

from tidings.ledger.ledger import PostgresLedger
from tidings.ledger.migrate import migrate, migration_state

__all__ = ["PostgresLedger", "migrate", "migration_state"]
