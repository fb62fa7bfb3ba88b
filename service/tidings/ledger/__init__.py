"""Remembers every notification, every attempt and every change: the only place with SQL."""

from tidings.ledger.ledger import PostgresLedger
from tidings.ledger.migrate import migrate, migration_state

__all__ = ["PostgresLedger", "migrate", "migration_state"]
