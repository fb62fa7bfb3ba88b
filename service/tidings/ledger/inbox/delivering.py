"""Delivers messages into inboxes: concurrent sends share one statement and one commit."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Final, Self

import asyncpg

from tidings.delivery.errors import (
    CommitUnknown,
    ConfigurationError,
    LedgerUnavailable,
    TidingsError,
)
from tidings.delivery.inbox import InboxChange, InboxHints, InboxMessage
from tidings.ledger.batcher import Batcher
from tidings.ledger.database import Database
from tidings.ledger.packing import packed, parameters
from tidings.runtime.deadlines import Deadlines

PAUSE: Final = 0.002
"""Seconds between two group commits under load."""
LOOK: Final = 0.1
"""Seconds by which a delivery may exceed its timeout."""

COLUMNS: Final = {
    "id": "uuid",
    "tenant": "text",
    "user_id": "text",
    "category": "text",
    "type": "text",
    "severity": "text",
    "title": "text",
    "body": "text",
    "data": "jsonb",
    "action_url": "text",
    "actions": "jsonb",
    "entity_type": "text",
    "entity_id": "text",
    "expires_at": "timestamptz",
}
"""The columns of a message that its notification fills, by name, with their types."""
NAMES: Final = ", ".join(COLUMNS)

DELIVER: Final = f"""
WITH incoming AS (
    SELECT * FROM unnest({parameters(*COLUMNS.values())}) WITH ORDINALITY AS i ({NAMES}, place)
), fresh AS (
    SELECT *, count(*) OVER (PARTITION BY tenant, user_id) AS several,
           row_number() OVER (PARTITION BY tenant, user_id ORDER BY place) AS number
      FROM incoming i
     WHERE (SELECT (m.tenant, m.user_id, m.id) = (i.tenant, i.user_id, i.id) FROM inbox_messages m
             WHERE (m.tenant, m.user_id, m.id) >= (i.tenant, i.user_id, i.id)
             ORDER BY m.tenant, m.user_id, m.id LIMIT 1) IS NOT TRUE
), users AS (
    INSERT INTO inbox_users AS u (tenant, user_id, revision)
    SELECT tenant, user_id, several FROM fresh WHERE number = 1 ORDER BY tenant, user_id
    ON CONFLICT (tenant, user_id) DO UPDATE SET revision = u.revision + excluded.revision
    RETURNING tenant, user_id, revision
), stored AS (
    INSERT INTO inbox_messages ({NAMES}, position, revision)
    SELECT {NAMES}, revision - several + number, revision - several + number FROM fresh JOIN users USING (tenant, user_id)
    ON CONFLICT (tenant, user_id, id) DO NOTHING
    RETURNING tenant, user_id, revision
)
SELECT tenant, user_id, max(revision) AS revision FROM stored GROUP BY tenant, user_id
"""
"""Users are locked in their order, so no two batches wait for each other. A message that another batch has stored since this
statement began leaves a gap among the revisions, and nothing else. What is stored already is looked up in the order of the
primary key: asked for by equality alone, PostgreSQL without statistics reads all messages of the user in place of one."""
CHECK: Final = """
SELECT has_table_privilege('inbox_users', 'INSERT') AND has_table_privilege('inbox_users', 'UPDATE')
   AND has_table_privilege('inbox_messages', 'INSERT') AND has_table_privilege('inbox_messages', 'UPDATE')
"""

_values = attrgetter(*COLUMNS)


class _Delivery:
    """A message under way."""

    __slots__ = ("begun", "message")

    def __init__(self, message: InboxMessage) -> None:
        self.message = message
        self.begun = False
        """Whether PostgreSQL may have been given it."""


class InboxDeliveries:
    """Stores messages of users, in group commits.

    Args:
        size: Most messages in one statement.
        hints: Where changes are announced; nowhere if None.
    """

    def __init__(self, database: Database, *, size: int, hints: InboxHints | None = None) -> None:
        self._database = database
        self._hints = hints
        self._batches: Batcher[_Delivery, None] = Batcher(self._deliver, size=size, pause=PAUSE)
        self._deadlines = Deadlines(LOOK)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        """Let what was begun finish."""
        await self._batches.__aexit__(*error)

    async def deliver(self, message: InboxMessage, timeout: float) -> None:
        """Store a message with those that others deliver at the moment; see `tidings.delivery.inbox.Inbox`."""
        delivery = _Delivery(message)
        try:
            await self._deadlines.within(timeout, self._done(delivery))
        except TimeoutError:
            late = f"PostgreSQL: no answer within {timeout:g}s"
            raise (CommitUnknown if delivery.begun else LedgerUnavailable)(late) from None

    async def _done(self, delivery: _Delivery) -> None:
        await self._batches.submit(delivery)

    async def check(self) -> None:
        """Look whether messages could be stored; see `tidings.delivery.inbox.Inbox`."""
        async with self._database.connection() as connection:
            if not await connection.fetchval(CHECK):
                raise ConfigurationError("our user may not write the tables of inboxes")

    async def _deliver(self, deliveries: Sequence[_Delivery]) -> Sequence[None]:
        """Store a batch, and announce what has changed."""
        columns = packed(
            map(list, zip(*(_values(delivery.message) for delivery in deliveries), strict=True))
        )
        begun = False
        try:
            async with self._database.connection() as connection:
                begun = True
                for delivery in deliveries:
                    delivery.begun = True
                rows = await connection.fetch(DELIVER, *columns)
        except (LedgerUnavailable, ConfigurationError) as error:
            raise _failure(error, begun=begun) from None
        if rows and self._hints is not None:
            self._hints.announce([InboxChange(*row) for row in rows])
        return [None] * len(deliveries)


def _failure(error: LedgerUnavailable | ConfigurationError, *, begun: bool) -> TidingsError:
    """What a batch ended with; without the words of PostgreSQL, which may quote a message.

    Args:
        begun: Whether the statement was sent.
    """
    cause = error.__cause__
    leaving = (asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError)
    if not begun:
        return error
    if not isinstance(cause, asyncpg.PostgresError) or isinstance(cause, leaving):
        return CommitUnknown("PostgreSQL: the answer was lost")
    # PostgreSQL itself refused the statement: nothing of it is committed.
    return type(error)(f"PostgreSQL: {type(cause).__name__} ({cause.sqlstate})")
