"""Requests with an Idempotency-Key that brought several notifications, or one with an id of its own: their first answers.

A row commits with its notifications, so a process that dies leaves both or neither. One notification without an id
needs none: its id is derived from the key, and recognises the repeat. The one looks whether the other has had its key.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from tidings.ledger.database import Connection

REMEMBERED: Final = 48 * 3600.0
"""Seconds for which a request is recognised; twice as long as promised."""

REMEMBER: Final = """
INSERT INTO api_requests AS r (api_key, idempotency_key, fingerprint, expires_at)
VALUES ($1, $2, $3, now() + $4 * interval '1 second')
ON CONFLICT (api_key, idempotency_key) DO UPDATE
   SET fingerprint = excluded.fingerprint, answer = NULL, expires_at = excluded.expires_at
 WHERE r.expires_at < now()
RETURNING true
"""
"""Waits for a process that has the same request in a transaction."""

EARLIER: Final = """
SELECT fingerprint, answer FROM api_requests WHERE (api_key, idempotency_key) = ($1, $2)
"""

ANSWER: Final = """
UPDATE api_requests SET answer = $3 WHERE (api_key, idempotency_key) = ($1, $2)
"""


REQUESTED: Final = """
SELECT place FROM unnest($1::int[], $2::text[], $3::text[]) AS given (place, api_key, request_key)
  JOIN api_requests r ON (r.api_key, r.idempotency_key) = (given.api_key, given.request_key) AND r.expires_at >= now()
"""

CAME: Final = "SELECT EXISTS (SELECT FROM notifications WHERE id = $1)"


@dataclass(frozen=True, slots=True)
class RequestIdentity:
    """A request with an Idempotency-Key."""

    api_key: str
    """The caller's, without its secret."""
    idempotency_key: str
    fingerprint: bytes
    """A digest of what was requested."""


@dataclass(frozen=True, slots=True)
class EarlierRequest:
    """A request that came before with the same key."""

    same: bool
    """Whether it requested the same."""
    answer: bytes
    """Its answer, as it was kept."""


ANOTHER: Final = EarlierRequest(same=False, answer=b"")
"""One of another form."""


async def remember(connection: Connection, request: RequestIdentity) -> EarlierRequest | None:
    """Remember a request, in a transaction; the earlier one if there is one."""
    key = (request.api_key, request.idempotency_key)
    if await connection.fetchval(REMEMBER, *key, request.fingerprint, REMEMBERED):
        return None
    row = await connection.fetchrow(EARLIER, *key)
    assert row is not None  # noqa: S101  # nothing deletes one that has not expired
    return EarlierRequest(row["fingerprint"] == request.fingerprint, row["answer"] or b"")


async def keep_answer(connection: Connection, request: RequestIdentity, answer: bytes) -> None:
    """Keep the answer to a request that is remembered in this transaction."""
    await connection.execute(ANSWER, request.api_key, request.idempotency_key, answer)


async def came_alone(connection: Connection, first: UUID) -> EarlierRequest | None:
    """The request before, if it brought one notification without an id.

    Args:
        first: The id that follows from the Idempotency-Key for that.
    """
    return ANOTHER if await connection.fetchval(CAME, first) else None


async def requested(connection: Connection, keys: Mapping[int, tuple[str, str]]) -> list[int]:
    """Those of these API keys and Idempotency-Keys that a remembered request has."""
    if not keys:
        return []
    columns = [list(column) for column in zip(*keys.values(), strict=True)]
    return [row["place"] for row in await connection.fetch(REQUESTED, list(keys), *columns)]
