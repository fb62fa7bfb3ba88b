"""The transactional outbox: notifications are committed with what they tell of, and published afterwards."""

from typing import TYPE_CHECKING, Any

from tidings_events.outbox.adding import add, add_sync
from tidings_events.outbox.table import install_sql

if TYPE_CHECKING:
    from tidings_events.outbox.relay import OutboxRelay

__all__ = ["OutboxRelay", "add", "add_sync", "install_sql"]


def __getattr__(name: str) -> Any:
    """Load the relay on first use: adding needs neither asyncpg nor AMQP."""
    if name == "OutboxRelay":
        from tidings_events.outbox.relay import OutboxRelay

        return OutboxRelay
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
