"""The ledger's parts on a real database, one worker or several, and rows in any state."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from pydantic import SecretStr

from tidings.delivery.attempt import Attempt
from tidings.delivery.delay import Delay
from tidings.delivery.outcome import Claim, Failure, Outcome, Reason, RetryLater, Undeliverable
from tidings.delivery.ports import ClaimRequest, Record
from tidings.delivery.states import FINISHED, State
from tidings.ledger.database import Database
from tidings.ledger.notifications.claims import Claims
from tidings.ledger.notifications.dispatch import Outbox
from tidings.ledger.notifications.records import Records
from tidings.settings import LedgerSettings

WEEK = 7 * 86_400.0
PATIENCE = 60.0
HOLDER = "holder"
FAILURE = Failure("unavailable", "busy, come back later", "smtp:relay", "450 4.2.1")
RETRY = RetryLater(FAILURE, Delay(120), 2)
BOUNCE = Undeliverable(Reason.REJECTED, Failure("rejected", "no such user", "smtp:relay", "550"))

RENDER = """
UPDATE notifications
   SET state = $2, attempt = $3, lease_holder = $4, lease_until = now() + $5 * interval '1 second',
       dispatch_at = now() + $6 * interval '1 second', finished_at = $7,
       reason = $8, failure_kind = $9, failure_message = $10, retry_delay = $11
 WHERE id = $1
"""


def settings_of(database_url: str, **fields: Any) -> LedgerSettings:
    """Settings for a database."""
    return LedgerSettings(database_url=SecretStr(database_url), **fields)


def request_of(
    attempt: Attempt,
    token: str | None = None,
    *,
    lease: float = 60.0,
    expires_at: datetime | None = None,
) -> ClaimRequest:
    """A claim; a lease below zero has run out when it is given."""
    return ClaimRequest(attempt, token or f"token {uuid4().hex[:8]}", lease, expires_at)


def record_of(attempt: Attempt, token: str, outcome: Outcome, **fields: Any) -> Record:
    """What became of an attempt, after twenty milliseconds."""
    return Record(attempt, token, outcome, datetime.now(UTC), 0.02, **fields)


class LedgerRig:
    """Everything a test of the ledger needs."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.records = Records(database)
        self.outbox = Outbox(database)

    def claims(self, worker: str = "worker a", window: float = WEEK) -> Claims:
        """A worker's claims."""
        return Claims(self.database, worker=worker, window=window, patience=PATIENCE)

    async def claim(self, *requests: ClaimRequest, worker: str = "worker a") -> Sequence[Claim]:
        """Claim in one batch."""
        return await self.claims(worker).claim(requests)

    async def claimed(self, attempt: Attempt, token: str = HOLDER, lease: float = 60.0) -> None:
        """Claim what is sure to be had."""
        await self.claim(request_of(attempt, token, lease=lease))
        row = await self.row(attempt.id)
        assert (row["state"], row["lease_holder"]) == ("sending", token)

    async def put(self, attempt: Attempt, state: State, *, token: str = HOLDER) -> None:
        """Store a notification in any state: its first attempt is under way or over."""
        await self.claimed(attempt, token)
        sending, waiting = state is State.SENDING, state in {State.SCHEDULED, State.QUEUED}
        reason = {
            State.FAILED: "rejected",
            State.EXPIRED: "expired",
            State.UNKNOWN: "outcome_unknown",
        }.get(state)
        await self.execute(
            RENDER,
            attempt.id,
            state.value,
            0 if waiting else 1,
            token if sending else None,
            60.0 if sending else None,
            -1.0 if waiting else None,
            datetime.now(UTC) if state in FINISHED else None,
            reason,
            "rejected" if reason else None,
            "no such user" if reason else None,
            120 if state is State.RETRYING else None,
        )

    async def lapse(self, *ids: UUID) -> None:
        """Let the leases of these run out."""
        await self.execute(
            "UPDATE notifications SET lease_until = now() - interval '1 second' WHERE id = ANY($1)",
            ids,
        )

    async def row(self, id: UUID) -> dict[str, Any]:
        """A notification's row."""
        [row] = await self.fetch("SELECT * FROM notifications WHERE id = $1", id)
        return row

    async def state(self, id: UUID) -> State:
        """A notification's state."""
        return State((await self.row(id))["state"])

    async def history(self, id: UUID) -> list[tuple[Any, ...]]:
        """before, after and reason of every change noted for itself, in order."""
        rows = await self.fetch(
            "SELECT before, after, reason FROM transitions WHERE notification_id = $1 ORDER BY id",
            id,
        )
        return [tuple(row.values()) for row in rows]

    async def attempts(self, id: UUID) -> list[dict[str, Any]]:
        """A notification's recorded attempts."""
        return await self.fetch(
            "SELECT * FROM attempts WHERE notification_id = $1 ORDER BY epoch, attempt", id
        )

    async def fetch(self, query: str, *arguments: object) -> list[dict[str, Any]]:
        """Ask the database."""
        async with self.database.connection() as connection:
            return [dict(row) for row in await connection.fetch(query, *arguments)]

    async def execute(self, statement: str, *arguments: object) -> None:
        """Change something behind the ledger's back."""
        async with self.database.connection() as connection:
            await connection.execute(statement, *arguments)
