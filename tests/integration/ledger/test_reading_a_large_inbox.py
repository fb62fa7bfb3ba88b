"""However many messages there are, a page, the changes and the counts are read from indexes, and only what is shown from the table."""

from collections.abc import AsyncIterator

import pytest
from tests.support.ledger_rig import LedgerRig, settings_of

from tidings.ledger.database import PostgresDatabase
from tidings.ledger.inbox.filters import MessageFilter
from tidings.ledger.inbox.following import READ
from tidings.ledger.inbox.messages import InboxUser
from tidings.ledger.inbox.reading import CHANGES, COUNTED, LOOKED_AT, PAGE, TALLY, InboxReading

USER = InboxUser("shop", "u-7")
MANY = 7_000
FILL = """
INSERT INTO inbox_messages (tenant, user_id, id, position, revision, category, type, severity, title, body, read_at, archived_at,
                            snoozed_until)
SELECT 'shop', 'u-' || u, gen_random_uuid(), p, p, 'account', 'type ' || p % 5, 'info', CASE WHEN p = 101 THEN 'Rare' ELSE 'Hello' END,
       repeat('text ', 20), CASE WHEN p % 5 > 0 THEN now() END, CASE WHEN p % 10 = 0 THEN now() END,
       CASE WHEN p % 10 = 7 THEN now() + interval '1 day' END
  FROM generate_series(1, $1::int) p, generate_series($2::int, $3::int) u ORDER BY p
"""


@pytest.fixture
async def rig(database_url: str) -> AsyncIterator[LedgerRig]:
    """A user with many messages among others with some."""
    async with PostgresDatabase(settings_of(database_url)) as database:
        rig = LedgerRig(database)
        await rig.execute(FILL, MANY, 7, 7)
        await rig.execute(FILL, 200, 100, 130)
        await rig.execute("INSERT INTO inbox_users VALUES ('shop', 'u-7', $1)", MANY)
        await rig.execute("VACUUM ANALYZE inbox_messages")
        yield rig


async def plan(rig: LedgerRig, statement: str, *arguments: object) -> str:
    """As it is chosen for any user: a prepared statement that has run often."""
    async with rig.database.connection() as connection, connection.transaction():
        await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        rows = await connection.fetch(f"EXPLAIN (ANALYZE, BUFFERS) {statement}", *arguments)
    return "\n".join(row[0] for row in rows)


@pytest.mark.parametrize(
    "wanted",
    [
        MessageFilter(),
        MessageFilter(unread=True),
        MessageFilter(archived=True),
        MessageFilter(snoozed=True),
    ],
)
async def test_a_page_reads_what_it_shows_in_order_from_an_index(
    rig: LedgerRig, wanted: MessageFilter
) -> None:
    user = [USER.tenant, USER.user_id]
    page = await plan(rig, PAGE.format(matching=wanted.matching([*user, 0, 0])), *user, MANY, 21)
    assert "Seq Scan" not in page.replace("Seq Scan on inbox_users", "")
    assert "Index Scan Backward" in page
    assert "rows=21 loops=1" in page


async def test_changes_are_read_in_order_from_an_index(rig: LedgerRig) -> None:
    changes = await plan(rig, CHANGES, USER.tenant, USER.user_id, MANY - 100, 101)
    assert "Index Scan using inbox_messages_changes" in changes


async def test_followed_changes_are_read_in_order_from_an_index_and_no_more_than_are_told(
    rig: LedgerRig,
) -> None:
    users = [USER.tenant] * 2, [USER.user_id] * 2
    followed = await plan(rig, READ, *users, [MANY - 1, 0])
    assert "Sort Key: inbox_messages" not in followed
    (window,) = (line for line in followed.splitlines() if "WindowAgg" in line)
    assert "rows=101 loops=2" in window  # on average, of 1 and of one more than are told


async def test_the_counts_of_followed_inboxes_are_read_from_an_index_alone(rig: LedgerRig) -> None:
    followed = await plan(rig, READ, [USER.tenant], [USER.user_id], [MANY - 1])
    assert "Index Only Scan using inbox_messages_unread" in followed
    assert "Heap Fetches: 0" in followed


@pytest.mark.parametrize("statement", [COUNTED, TALLY])
async def test_counts_are_read_from_an_index_alone(rig: LedgerRig, statement: str) -> None:
    counted = await plan(rig, statement, USER.tenant, USER.user_id)
    assert "Index Only Scan using inbox_messages_unread" in counted
    assert "Heap Fetches: 0" in counted


async def test_what_no_index_leads_to_is_searched_for_page_by_page(rig: LedgerRig) -> None:
    reading, wanted = InboxReading(rig.database), MessageFilter(text="rare")
    first = await reading.page(USER, wanted, 21)
    assert first.messages == ()
    assert first.last_looked_at is not None
    skipped = await rig.fetch(
        "SELECT count(*) FROM inbox_messages WHERE user_id = 'u-7' AND archived_at IS NULL AND snoozed_until IS NULL AND position >= $1",
        first.last_looked_at,
    )
    assert skipped[0]["count"] == LOOKED_AT
    then = await reading.page(USER, wanted, 21, before=first.last_looked_at)
    assert ([message.title for message in then.messages], then.last_looked_at) == (["Rare"], None)
