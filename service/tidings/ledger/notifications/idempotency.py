"""Who holds an idempotency key: its tenant's first notification to its recipient, unless it ended without being sent."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final, NamedTuple, Self
from uuid import UUID

from tidings.ledger.database import Connection
from tidings.ledger.notifications.perhaps_sent import EVER
from tidings_events import DEFAULT_TENANT, Notification

REMEMBER_KEYS: Final = """
INSERT INTO idempotency_holders AS k (key, addressee, notification_id, tenant, expires_at)
SELECT DISTINCT ON (key, addressee) key, addressee, id, tenant, now() + $5 * interval '1 second'
  FROM unnest($1::text[], $2::bytea[], $3::uuid[], $4::text[]) WITH ORDINALITY AS incoming (key, addressee, id, tenant, place)
 ORDER BY key, addressee, place
ON CONFLICT (key, addressee) DO UPDATE
   SET notification_id = CASE WHEN k.expires_at < now() THEN excluded.notification_id ELSE k.notification_id END,
       expires_at      = CASE WHEN k.expires_at < now() THEN excluded.expires_at ELSE k.expires_at END
RETURNING key, addressee, notification_id
"""
"""Also locks the keys until the transaction ends."""

TAKE_OVER: Final = f"""
UPDATE idempotency_holders k
   SET notification_id = incoming.id, expires_at = now() + $4 * interval '1 second'
  FROM unnest($1::text[], $2::bytea[], $3::uuid[]) AS incoming (key, addressee, id), notifications n
 WHERE k.key = incoming.key AND k.addressee = incoming.addressee AND n.id = k.notification_id
   AND n.state IN ('failed', 'expired', 'cancelled', 'suppressed', 'discarded')
   AND NOT {EVER}
RETURNING k.key, k.addressee, k.notification_id
"""
"""Keys whose holder ended and certainly was not sent, in no epoch.

A statement of its own, because it has to see how the holders stand once the keys are locked: a replay
of a holder locks its key too, before the holder is queued again.
"""

HOLDER: Final = f"""
SELECT k.notification_id FROM idempotency_holders k
 WHERE k.key = $1 AND k.addressee = $2 AND k.expires_at >= now()
   AND NOT EXISTS (SELECT FROM notifications n WHERE n.id = k.notification_id
                      AND n.state IN ('failed', 'expired', 'cancelled', 'suppressed', 'discarded') AND NOT {EVER})
"""
"""A key's holder, unless the next notification would take it over."""

FORGET: Final = """
UPDATE idempotency_holders k SET expires_at = 'epoch'
  FROM unnest($1::text[], $2::bytea[], $3::uuid[]) AS held (key, addressee, id)
 WHERE (k.key, k.addressee, k.notification_id) = (held.key, held.addressee, held.id)
"""
"""The next notification with the key takes it over. A worker may delete nothing."""


class KeyUse(NamedTuple):
    """A notification that has an idempotency key."""

    key: str
    addressee: bytes
    """The tenant, the channel and the recipient, as a digest: a key means something to one person only, and a test's
    nothing to what is no test."""
    id: UUID
    tenant: str

    @classmethod
    def of(cls, notification: Notification) -> Self | None:
        """What a notification says; None where it has no key."""
        if notification.idempotency_key is None:
            return None
        tenant = notification.tenant
        whose = "" if tenant == DEFAULT_TENANT else f"{tenant}\n"
        if notification.test:  # no tenant has an upper-case name
            whose = f"TEST\n{whose}"
        addressee = f"{whose}{notification.channel}\n{notification.recipient}".encode()
        return cls(
            notification.idempotency_key, sha256(addressee).digest(), notification.id, tenant
        )

    @property
    def place(self) -> tuple[str, bytes]:
        """What only one notification may hold."""
        return self.key, self.addressee


async def hold(
    connection: Connection, uses: Sequence[KeyUse], window: float
) -> dict[tuple[str, bytes], UUID]:
    """Which notification holds each of these keys; the first of `uses` if none did.

    Args:
        connection: In a transaction: the keys stay locked until it ends.
        window: Seconds for which a key is remembered.
    """
    first = {use.place: use for use in reversed(uses)}
    rows = await connection.fetch(REMEMBER_KEYS, *_columns(list(first.values())), window)
    holders = {(row["key"], row["addressee"]): row["notification_id"] for row in rows}
    taken = [use for place, use in first.items() if holders[place] != use.id]
    if taken:
        rows = await connection.fetch(TAKE_OVER, *_columns(taken)[:3], window)
        holders |= {(row["key"], row["addressee"]): row["notification_id"] for row in rows}
    return holders


async def forget(connection: Connection, uses: Sequence[KeyUse]) -> None:
    """Let go of keys that these hold: what has them is not sent."""
    if uses:
        await connection.execute(FORGET, *_columns(uses)[:3])


def _columns(uses: Sequence[KeyUse]) -> list[list[object]]:
    return [list(column) for column in zip(*uses, strict=True)]
