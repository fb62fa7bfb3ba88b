"""The connections that operations use: PostgreSQL for all, RabbitMQ on demand."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Final

from tidings.delivery.inbox import InboxHints, SilentHints
from tidings.ledger import PostgresLedger
from tidings.operations.recent_statistics import RecentStatistics
from tidings.runtime.background import end
from tidings.runtime.shared_look import SharedLook, SharedLooks
from tidings.settings import Settings

if TYPE_CHECKING:
    from tidings.broker.connection import BrokerConnection
    from tidings.broker.topology.inspection import Depth
    from tidings.operations.health import ExaminedHealth
    from tidings.operations.overview import OverviewView
    from tidings.operations.revoked_tokens import RevokedTokens
    from tidings.operations.submissions.intake import Intake

HEALTH_KEPT: Final = 15.0
"""Seconds for which checks are not made again."""
DEPTHS_KEPT: Final = 2.0
"""Seconds for which queue depths are not looked for again."""
OVERVIEWS: Final = 32
"""Overviews that are remembered: each is some 100 kB."""


@dataclass(frozen=True, slots=True)
class DepthsAsOf:
    """How many messages are in the queues, and when RabbitMQ was asked."""

    depths: "Sequence[Depth]"
    at: datetime


class Backend:
    """What stands behind a face: opened once by a process, and passed to each operation.

    Args:
        settings: The process's.
        ledger: Open.
        intake: Open, if this process accepts notifications.
        inbox_hints: Where changes of inboxes are announced, once they are committed.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: PostgresLedger,
        intake: "Intake | None" = None,
        inbox_hints: InboxHints | None = None,
    ) -> None:
        self.settings = settings
        self.ledger = ledger
        self._intake = intake
        self.inbox_hints: InboxHints = inbox_hints or SilentHints()
        """Announces changes of inboxes. Call it after the commit, with what was changed."""
        self.queue_depths: SharedLook[DepthsAsOf] = SharedLook(DEPTHS_KEPT)
        """How many messages are in the queues: each look opens a connection."""
        self.health: SharedLook[ExaminedHealth] = SharedLook(HEALTH_KEPT)
        """What the checks have found: they ask every server and provider."""
        self.statistics = RecentStatistics()
        """Statistics of long periods, which change slowly."""
        self.overviews: SharedLooks[OverviewView] = SharedLooks(OVERVIEWS)
        """Overviews of a moment ago, for a page that does not wait while PostgreSQL is busy."""
        self.exporting = 0
        """Exports under way."""
        self.choosing: set[asyncio.Task[None]] = set()
        """Choices of the items of jobs that are under way in the background."""

    async def close(self) -> None:
        """End what is under way in the background; a scheduler goes on with it."""
        for task in list(self.choosing):
            await end(task)

    @cached_property
    def revoked_tokens(self) -> "RevokedTokens":
        """Revocations of end users' tokens; a process that serves the API keeps them."""
        from tidings.operations.revoked_tokens import RevokedTokens

        ledger = self.ledger if self._intake is None else self._intake
        return RevokedTokens(ledger.token_revocations)

    @property
    def intake(self) -> "Intake":
        """What accepts notifications; only a process that serves the API has it."""
        assert self._intake is not None  # noqa: S101  # it was opened with one
        return self._intake

    @asynccontextmanager
    async def broker(self, purpose: str) -> AsyncIterator["BrokerConnection"]:
        """A connection to RabbitMQ that is kept up, for publishing; in the management UI: `tidings PURPOSE (…)`.

        Raises:
            BrokerUnavailable: RabbitMQ was not reached in time.
        """
        from tidings.broker.connection import (
            BrokerConnection,  # most operations ask PostgreSQL alone
        )

        name = f"tidings {purpose} ({self.ledger.actor})"
        async with BrokerConnection(self.settings.broker, name) as connection:
            await connection.get()
            yield connection


@asynccontextmanager
async def opened(
    settings: Settings,
    name: str,
    *,
    accepting: bool = False,
    inbox_hints: InboxHints | None = None,
) -> AsyncIterator[Backend]:
    """A backend for one process, whose name stands in the servers' lists of connections.

    Neither server is reached yet: an operation that needs one raises `LedgerUnavailable` or `BrokerUnavailable`.

    Args:
        accepting: Whether it accepts notifications.
        inbox_hints: Where changes of inboxes are announced; nowhere if None.
    """
    async with PostgresLedger(settings.ledger, actor=name) as ledger:
        if not accepting:
            backend = Backend(settings, ledger, inbox_hints=inbox_hints)
            try:
                yield backend
            finally:
                await backend.close()
            return
        from tidings.operations.submissions.intake import Intake  # commands do without it

        # Connections of its own: readers who have all of the others must not look like PostgreSQL being away.
        async with (
            PostgresLedger(settings.ledger, actor=name) as accepting_ledger,
            Intake(settings, accepting_ledger) as intake,
        ):
            backend = Backend(settings, ledger, intake, inbox_hints)
            try:
                yield backend
            finally:
                await backend.close()
