"""The ledger as the rest of Tidings sees it: one object, its parts opened and closed together."""

from collections.abc import Awaitable
from contextlib import AsyncExitStack
from typing import Final, Self

from tidings.delivery.attempt import Attempt
from tidings.delivery.outcome import Claim, Claimed
from tidings.delivery.ports import ClaimRequest, Record
from tidings.ledger.batcher import Batcher
from tidings.ledger.database import Database, PostgresDatabase
from tidings.ledger.dead_letters.dead_letters import DeadLetters
from tidings.ledger.erasure import Erasures
from tidings.ledger.notifications.changes import Changes
from tidings.ledger.notifications.claims import Claims
from tidings.ledger.notifications.dispatch import Outbox
from tidings.ledger.notifications.records import Records
from tidings.ledger.notifications.requeue import Requeues
from tidings.ledger.operators.actions import Actions
from tidings.ledger.operators.audit import LedgerAudit
from tidings.ledger.operators.controls import LedgerControls
from tidings.ledger.operators.processes import Processes
from tidings.ledger.operators.reports import Reports
from tidings.ledger.partitions import Partitions
from tidings.ledger.retention import Retention, RetentionPeriods
from tidings.settings import LedgerSettings

REST: Final = 0.003
"""Seconds between two group commits under load; an idle ledger is not kept waiting."""


class PostgresLedger:
    """Everything remembered, in PostgreSQL.

    Args:
        settings: Where it is, and how statements are batched.
        database: Another than the settings' own.
        actor: Names this process in leases and history, e.g. `worker web-1:4242:7f3a`; unlike any other.
    """

    def __init__(
        self, settings: LedgerSettings, *, actor: str, database: Database | None = None
    ) -> None:
        self.actor = actor
        self.database = database or PostgresDatabase(settings, application=f"tidings {actor}"[:63])
        self.outbox = Outbox(self.database)
        self.reports = Reports(self.database)
        self.changes = Changes(self.database)
        self.controls = LedgerControls(self.database)
        self.processes = Processes(self.database)
        self.audit = LedgerAudit(self.database)
        self.partitions = Partitions(self.database)
        self.actions = Actions(self.database)
        self.erasures = Erasures(self.database)
        self.retention = Retention(self.database, RetentionPeriods.read(settings))
        self.dead_letters = DeadLetters(
            self.database, actor=actor, window=settings.idempotency_window
        )
        self._records = Records(self.database)
        self.requeues = Requeues(self.database, after=settings.requeue_after)
        claims = Claims(
            self.database,
            worker=actor,
            window=settings.idempotency_window,
            patience=settings.requeue_after / 15,
        )
        self._claiming: Batcher[ClaimRequest, Claim] = Batcher(
            claims.claim,
            size=settings.batch_size,
            rest=REST,
            weigh=lambda request: len(request.attempt.body),
            undo=self._give_back,
        )
        self._recording: Batcher[Record, bool] = Batcher(
            self._records.record, size=settings.batch_size, rest=REST
        )
        self._parts = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._parts.enter_async_context(self.database)
        await self._parts.enter_async_context(self._claiming)
        await self._parts.enter_async_context(self._recording)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._parts.aclose()

    def claim(self, request: ClaimRequest) -> Awaitable[Claim]:
        """Take a notification under a lease, together with whoever else is asking just now.

        Raises:
            LedgerUnavailable: PostgreSQL is away; ask again.
        """
        return self._claiming.submit(request)

    async def _give_back(self, request: ClaimRequest, claim: Claim) -> None:
        """Whoever asked was cancelled before the answer came: nobody is going to send it."""
        if isinstance(claim, Claimed):
            await self.release(request.attempt, request.token, "the worker stopped")

    def record(self, record: Record) -> Awaitable[bool]:
        """Store an attempt and its notification's new state; False where the lease had been lost.

        Raises:
            LedgerUnavailable: PostgreSQL is away; submit it again.
        """
        return self._recording.submit(record)

    async def release(self, attempt: Attempt, token: str, why: str) -> None:
        """Give a claim back, no attempt spent."""
        await self._records.release(attempt, token, why)
