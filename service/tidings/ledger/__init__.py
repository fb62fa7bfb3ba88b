"""Remembers every notification, every attempt and every change: the only place with SQL."""

from tidings.ledger.ledger import Ledger
from tidings.ledger.migrate import migrate, migration_state

__all__ = ["Ledger", "migrate", "migration_state"]
