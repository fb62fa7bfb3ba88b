"""Changes messages of many users at once, each with a revision of its own, under the locks of their users' rows."""

from collections.abc import Sequence
from typing import Final, TypeAlias
from uuid import UUID

from tidings.delivery.inbox import InboxChange
from tidings.ledger.database import Connection

Chosen: TypeAlias = Sequence[tuple[str, str, UUID]]
"""Tenant, user and id of each message."""
REVISION: Final = "raised.revision - chosen.several + chosen.step"
"""In assignments: the new revision of a message."""

LOCK: Final = """
SELECT FROM inbox_users
 WHERE (tenant, user_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))
 ORDER BY tenant, user_id FOR UPDATE
"""
"""In their order, as everybody who takes several: nobody waits for the other."""
CHANGE: Final = f"""
WITH chosen AS MATERIALIZED (
    SELECT tenant, user_id, place, count(*) OVER (PARTITION BY tenant, user_id) AS several,
           row_number() OVER (PARTITION BY tenant, user_id ORDER BY position, id) AS step
      FROM unnest($1::text[], $2::text[], $3::uuid[]) AS c (of_tenant, of_user, wanted)
      JOIN LATERAL (SELECT *, ctid AS place FROM inbox_messages
                     WHERE (tenant, user_id, id) >= (of_tenant, of_user, wanted) ORDER BY tenant, user_id, id LIMIT 1) AS m
        ON (tenant, user_id, id) = (of_tenant, of_user, wanted)
     WHERE {{condition}}
), raised AS MATERIALIZED (
    UPDATE inbox_users u SET revision = u.revision + c.several FROM chosen c
     WHERE c.step = 1 AND u.tenant = c.tenant AND u.user_id = c.user_id
    RETURNING u.tenant, u.user_id, u.revision
), changed AS (
    UPDATE inbox_messages m SET revision = {REVISION}, {{assignments}} FROM chosen JOIN raised USING (tenant, user_id)
     WHERE m.ctid = chosen.place
)
SELECT tenant, user_id, revision FROM raised
"""
"""Under the locks of the users' rows nobody else changes these rows, so they stay in their places. They are looked up in the order
of the primary key: asked for by equality alone, PostgreSQL without statistics reads all messages of the user in place of one."""


async def change(
    connection: Connection, chosen: Chosen, condition: str, assignments: str
) -> Sequence[InboxChange]:
    """Change messages in a transaction; what is to be announced after its commit.

    Args:
        connection: In a transaction that has locked no user yet.
        chosen: Each once.
        condition: What is still so of those that are changed, once their users are locked.
        assignments: SQL, for an UPDATE; may use `REVISION`.
    """
    tenants, users, ids = (list(column) for column in zip(*chosen, strict=True))
    await connection.execute(LOCK, tenants, users)
    statement = CHANGE.format(condition=condition, assignments=assignments)
    return [InboxChange(*row) for row in await connection.fetch(statement, tenants, users, ids)]
