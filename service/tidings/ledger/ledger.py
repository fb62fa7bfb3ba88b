"""The ledger's facade: opens and closes its parts together."""

from collections.abc import Awaitable
from contextlib import AsyncExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Final, Self

from tidings.delivery.attempt import Attempt
from tidings.delivery.inbox import InboxHints
from tidings.delivery.outcome import Claim, Claimed
from tidings.delivery.ports import ClaimRequest, Record
from tidings.ledger.batcher import Batcher
from tidings.ledger.database import Database, PostgresDatabase
from tidings.ledger.notifications.accepting import Accepting
from tidings.ledger.notifications.changes import Changes
from tidings.ledger.notifications.claims import Claims
from tidings.ledger.notifications.dispatch import Outbox
from tidings.ledger.notifications.outbox_batches import OutboxBatches
from tidings.ledger.notifications.outbox_entries import OutboxEntries
from tidings.ledger.notifications.records import Records
from tidings.ledger.notifications.requeue import Requeues
from tidings.ledger.operators.actions import Actions
from tidings.ledger.operators.api_keys import ApiKeys
from tidings.ledger.operators.audit import LedgerAudit
from tidings.ledger.operators.console_sessions import ConsoleSessions
from tidings.ledger.operators.controls import LedgerControls
from tidings.ledger.operators.dispatching import Dispatching
from tidings.ledger.operators.processes import Processes
from tidings.ledger.operators.reports import Reports
from tidings.ledger.operators.rollups import Rollups
from tidings.ledger.operators.token_revocations import TokenRevocations
from tidings.ledger.operators.trail import Trail
from tidings.ledger.partitions import Partitions
from tidings.settings import LedgerSettings

if TYPE_CHECKING:
    from tidings.ledger.dead_letters.dead_letters import DeadLetters
    from tidings.ledger.erasure import Erasures
    from tidings.ledger.inbox.delivering import InboxDeliveries
    from tidings.ledger.inbox.marking import InboxMarking
    from tidings.ledger.inbox.purging import InboxPurging
    from tidings.ledger.inbox.reading import InboxReading
    from tidings.ledger.inbox.waking import InboxClock
    from tidings.ledger.jobs.actions import JobActions
    from tidings.ledger.jobs.items import JobItems
    from tidings.ledger.jobs.jobs import Jobs
    from tidings.ledger.jobs.snapshots import Snapshots
    from tidings.ledger.operators.alert_rules import AlertRules
    from tidings.ledger.operators.queue_ages import QueueAges
    from tidings.ledger.operators.rule_alerts import RuleAlerts
    from tidings.ledger.retention import Retention
    from tidings.ledger.schedules.schedules import Schedules

PAUSE: Final = 0.003
"""Seconds between two group commits under load; an idle ledger adds no wait."""


class PostgresLedger:
    """The ledger in PostgreSQL.

    Args:
        settings: The connection, and how statements are batched.
        database: Replaces the one from the settings.
        actor: Unique name of this process in leases and history, e.g. `worker web-1:4242:7f3a`.
    """

    def __init__(
        self, settings: LedgerSettings, *, actor: str, database: Database | None = None
    ) -> None:
        self.actor = actor
        self._settings = settings
        self.database = database or PostgresDatabase(settings, application=f"tidings {actor}"[:63])
        self.outbox = Outbox(self.database)
        self.outbox_batches = OutboxBatches(self.database)
        self.outbox_entries = OutboxEntries(self.database)
        self.reports = Reports(self.database)
        self.changes = Changes(self.database)
        self.controls = LedgerControls(self.database)
        self.dispatching = Dispatching(self.database)
        self.processes = Processes(self.database)
        self.audit = LedgerAudit(self.database)
        self.partitions = Partitions(self.database)
        self.actions = Actions(self.database)
        self.api_keys = ApiKeys(self.database)
        self.console_sessions = ConsoleSessions(self.database)
        self.token_revocations = TokenRevocations(self.database)
        self.trail = Trail(self.database)
        self.rollups = Rollups(self.database, retention=settings.rollup_retention)
        self._records = Records(self.database)
        self.requeues = Requeues(self.database, after=settings.requeue_after)
        claims = Claims(
            self.database,
            worker=actor,
            window=settings.idempotency_window,
            patience=settings.requeue_after / 15,
        )
        self.accepting = Accepting(self.database, actor=actor, window=settings.idempotency_window)
        self._claiming: Batcher[ClaimRequest, Claim] = Batcher(
            claims.claim,
            size=settings.batch_size,
            pause=PAUSE,
            weigh=lambda request: len(request.attempt.body),
            undo=self._release_unclaimed,
        )
        self._recording: Batcher[Record, bool] = Batcher(
            self._records.record, size=settings.batch_size, pause=PAUSE
        )
        self._parts = AsyncExitStack()

    # Most commands use none of these, and start sooner without their modules.

    @cached_property
    def dead_letters(self) -> "DeadLetters":
        """Archived dead letters."""
        from tidings.ledger.dead_letters.dead_letters import DeadLetters

        window = self._settings.idempotency_window
        return DeadLetters(self.database, actor=self.actor, window=window)

    @cached_property
    def queue_ages(self) -> "QueueAges":
        """How old the oldest messages in the queues can be."""
        from tidings.ledger.operators.queue_ages import QueueAges

        return QueueAges(self.database)

    @cached_property
    def alert_rules(self) -> "AlertRules":
        """Rules of alerts."""
        from tidings.ledger.operators.alert_rules import AlertRules

        return AlertRules(self.database, self._settings.seals)

    @cached_property
    def rule_alerts(self) -> "RuleAlerts":
        """What rules have to report, and their history."""
        from tidings.ledger.operators.rule_alerts import RuleAlerts

        return RuleAlerts(self.database, self._settings.seals)

    @cached_property
    def erasures(self) -> "Erasures":
        """Erasure of persons."""
        from tidings.ledger.erasure import Erasures

        return Erasures(self.database)

    @cached_property
    def inbox_reading(self) -> "InboxReading":
        """Inboxes of users, to be read."""
        from tidings.ledger.inbox.reading import InboxReading

        return InboxReading(self.database)

    @cached_property
    def inbox_marking(self) -> "InboxMarking":
        """The same, to be changed by their users."""
        from tidings.ledger.inbox.marking import InboxMarking

        return InboxMarking(self.database)

    @cached_property
    def inbox_clock(self) -> "InboxClock":
        """Snoozes that end, and messages that expire."""
        from tidings.ledger.inbox.waking import InboxClock

        return InboxClock(self.database)

    @cached_property
    def inbox_purging(self) -> "InboxPurging":
        """Deletion of old messages, and of a person's."""
        from tidings.ledger.inbox.purging import InboxPeriods, InboxPurging

        periods = InboxPeriods(self._settings.inbox_keep_read, self._settings.inbox_keep_unread)
        return InboxPurging(self.database, periods)

    def inbox_deliveries(self, hints: InboxHints | None = None) -> "InboxDeliveries":
        """What delivers messages into inboxes, to be entered: at its end it lets finish what was begun.

        Args:
            hints: Where changes are announced; nowhere if None.
        """
        from tidings.ledger.inbox.delivering import InboxDeliveries

        return InboxDeliveries(self.database, size=self._settings.batch_size, hints=hints)

    @cached_property
    def jobs(self) -> "Jobs":
        """Jobs."""
        from tidings.ledger.jobs.jobs import Jobs

        return Jobs(self.database)

    @cached_property
    def job_items(self) -> "JobItems":
        """Items of jobs."""
        from tidings.ledger.jobs.items import JobItems

        return JobItems(self.database)

    @cached_property
    def job_actions(self) -> "JobActions":
        """What jobs do with their items."""
        from tidings.ledger.jobs.actions import JobActions

        dead_letters = self.dead_letters
        return JobActions(self.database, dead_letters.replays, dead_letters.editing)

    @cached_property
    def snapshots(self) -> "Snapshots":
        """What jobs are looked at with."""
        from tidings.ledger.jobs.snapshots import Snapshots

        return Snapshots(self.database)

    @cached_property
    def schedules(self) -> "Schedules":
        """What is sent again and again."""
        from tidings.ledger.schedules.schedules import Schedules

        return Schedules(self.database)

    @cached_property
    def retention(self) -> "Retention":
        """Deletion of finished notifications."""
        from tidings.ledger.retention import Retention, RetentionPeriods

        return Retention(self.database, RetentionPeriods.read(self._settings))

    async def __aenter__(self) -> Self:
        await self._parts.enter_async_context(self.database)
        await self._parts.enter_async_context(self._claiming)
        await self._parts.enter_async_context(self._recording)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._parts.aclose()

    def claim(self, request: ClaimRequest) -> Awaitable[Claim]:
        """Take a notification under a lease, batched with concurrent requests.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable; try again.
        """
        return self._claiming.submit(request)

    async def _release_unclaimed(self, request: ClaimRequest, claim: Claim) -> None:
        """The caller was cancelled before its claim came: release it."""
        if isinstance(claim, Claimed):
            await self.release(request.attempt, request.token, "the worker stopped")

    def record(self, record: Record) -> Awaitable[bool]:
        """Store an attempt and its notification's new state; False if the lease was lost.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable; submit it again.
        """
        return self._recording.submit(record)

    async def release(self, attempt: Attempt, token: str, why: str) -> None:
        """Release a claim without spending an attempt."""
        await self._records.release(attempt, token, why)
