"""Many inboxes that are followed in one statement: whatever is in them, it takes little memory."""

import pytest
from tests.support.inboxes import delivered

from tidings.ledger.database import PostgresDatabase
from tidings.ledger.inbox.following import MOST_BYTES, READ, Following, Known
from tidings.ledger.inbox.messages import InboxUser

ADA = InboxUser("default", "ada")


@pytest.mark.parametrize("field", ["body", "data"])
async def test_no_more_bytes_of_an_inbox_are_read_than_can_be_sent(
    database: PostgresDatabase, field: str
) -> None:
    large = {"body": "é" * 4_000, "data": '{"a": "%s"}' % ("b" * 8_000)}[field]
    await delivered(database, ADA, *({field: large} for _ in range(60)))
    following = Following(database)
    (at_first, late) = await following.read([Known(ADA, 0), Known(ADA, 40)])
    assert at_first.changes is None
    assert [it.revision for it in late.changes or ()] == list(range(41, 61))
    async with database.connection() as connection:
        rows = await connection.fetch(READ, ["default"], ["ada"], [0])
    assert 0 < sum(len(row[field]) for row in rows) < MOST_BYTES + len(large.encode())
