"""What became of each recipient of a mail that was not taken alike for all: kept, and known to the next attempt."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol
from uuid import UUID

from tidings.delivery.attempt import Attempt
from tidings.delivery.recipients import (
    RecipientResult,
    RecipientState,
    Role,
    has_copies,
    may_have_copies,
)
from tidings.ledger.database import Connection
from tidings.ledger.notifications.rows import fit

KEEP: Final = """
INSERT INTO recipient_results AS r (notification_id, epoch, attempt, address, role, state, kind, code, message)
SELECT * FROM unnest($1::uuid[], $2::int[], $3::int[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[])
ON CONFLICT (notification_id, epoch, address) DO UPDATE
   SET attempt = excluded.attempt, state = excluded.state, kind = excluded.kind, code = excluded.code,
       message = excluded.message, at = now()
 WHERE r.attempt <= excluded.attempt
"""

RESULTS: Final = """
SELECT notification_id, address, role, state, kind, code, message
  FROM recipient_results JOIN unnest($1::uuid[], $2::int[]) AS asked (notification_id, epoch)
 USING (notification_id, epoch)
"""

REACHED: Final = """
INSERT INTO recipient_results (notification_id, epoch, attempt, address, role, state, kind, code, message, at)
SELECT notification_id, r.epoch + 1, 0, address, role, r.state, kind, code, message, at
  FROM recipient_results r JOIN unnest($1::uuid[], $2::int[]) AS begun (id, epoch)
    ON r.notification_id = begun.id AND r.epoch = begun.epoch - 1
 WHERE r.state = 'sent'
"""


class Settled(Protocol):
    """An attempt that has ended, and what it settled."""

    @property
    def attempt(self) -> Attempt: ...
    @property
    def recipients(self) -> tuple[RecipientResult, ...]: ...


def may_go_on(attempt: Attempt) -> bool:
    """Whether something before it may have reached some of its recipients: an attempt, or another epoch."""
    if (
        attempt.epoch > 0
    ):  # its dead letter may have been edited: recipients who have the mail were removed
        return may_have_copies(attempt.notification)
    return attempt.number > 1 and has_copies(attempt.notification)


async def keep(connection: Connection, ended: Sequence[Settled]) -> None:
    """Keep what attempts settled; a later one has the last word."""
    rows = [
        (
            settled.attempt.id,
            settled.attempt.epoch,
            settled.attempt.number,
            each.address,
            each.role.value,
            each.state.value,
            each.kind,
            fit(each.code),
            fit(each.message),
        )
        for settled in ended
        for each in settled.recipients
    ]
    await connection.execute(KEEP, *([*column] for column in zip(*rows, strict=True)))


async def results(
    connection: Connection, attempts: Sequence[Attempt]
) -> Mapping[UUID, tuple[RecipientResult, ...]]:
    """What earlier attempts settled, by notification; of those only where they did not settle it alike for all."""
    found: dict[UUID, tuple[RecipientResult, ...]] = {}
    if attempts:
        ids, epochs = [attempt.id for attempt in attempts], [attempt.epoch for attempt in attempts]
        for row in await connection.fetch(RESULTS, ids, epochs):
            id = row["notification_id"]
            found[id] = (*found.get(id, ()), _result(dict(row)))
    return found


async def begin_epoch(connection: Connection, ids: Sequence[UUID], epochs: Sequence[int]) -> None:
    """Recipients who have the mail don't get it again in later epochs."""
    await connection.execute(REACHED, ids, epochs)


def _result(row: Mapping[str, Any]) -> RecipientResult:
    return RecipientResult(
        row["address"],
        Role(row["role"]),
        RecipientState(row["state"]),
        row["kind"],
        row["code"],
        row["message"],
    )
