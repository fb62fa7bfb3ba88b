"""Messages arrive while two processes mark them: whoever follows the changes misses none, and every count is that of its list."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from tests.support.inboxes import delivered
from tests.support.ledger_rig import settings_of

from tidings.ledger.database import PostgresDatabase
from tidings.ledger.inbox.filters import MessageFilter
from tidings.ledger.inbox.marking import InboxMarking, Mark, MarkVerb, UpTo
from tidings.ledger.inbox.messages import InboxUser, StoredMessage
from tidings.ledger.inbox.reading import InboxReading

USER = InboxUser("shop", "jane")
VERBS = [verb for verb in MarkVerb if verb not in {MarkVerb.SNOOZE, MarkVerb.ACT}]
FEED, UNREAD = MessageFilter(), MessageFilter(unread=True)


@pytest.fixture
async def databases(database_url: str) -> AsyncIterator[tuple[PostgresDatabase, PostgresDatabase]]:
    """Of two processes."""
    settings = settings_of(database_url)
    async with PostgresDatabase(settings) as first, PostgresDatabase(settings) as second:
        yield first, second


async def deliver(database: PostgresDatabase, batches: int) -> None:
    for _ in range(batches):
        await delivered(database, USER, *({} for _ in range(random.randint(1, 4))))


async def mark_at_random(database: PostgresDatabase, rounds: int) -> int:
    """How many changes were made."""
    marking, reading, changed = InboxMarking(database), InboxReading(database), 0
    for _ in range(rounds):
        page = await reading.page(USER, random.choice([FEED, UNREAD]), 100)
        verb = random.choice(VERBS)
        if page.messages and random.random() < 0.8:
            chosen = random.sample(page.messages, min(3, len(page.messages)))
            marked = await marking.mark(USER, Mark(verb), [message.id for message in chosen])
        else:
            marked = await marking.mark(USER, Mark(verb), UpTo(page.revision // 2, FEED))
        changed += marked.changed
        assert marked.counts.unseen <= marked.counts.unread
    return changed


class Follower:
    """A client that knows an inbox by its changes alone."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._reading = InboxReading(database)
        self.known: dict[object, StoredMessage] = {}
        self.revision = 0

    async def catch_up(self) -> None:
        while (found := await self._reading.changes(USER, self.revision, 7)).messages:
            for message in found.messages:
                assert message.revision > self.revision
                self.known[message.id], self.revision = message, message.revision
            assert self.revision <= found.head

    async def follow(self, done: asyncio.Event) -> None:
        while not done.is_set():
            await self.catch_up()
            await asyncio.sleep(0)
        await self.catch_up()


async def test_a_follower_ends_with_what_is_stored_and_revisions_are_exact(
    databases: tuple[PostgresDatabase, PostgresDatabase],
) -> None:
    first, second = databases
    done, follower = asyncio.Event(), Follower(second)
    following = asyncio.create_task(follower.follow(done))
    async with asyncio.TaskGroup() as together:
        together.create_task(deliver(first, 60))
        together.create_task(deliver(second, 60))
        markers = [together.create_task(mark_at_random(each, 80)) for each in (*databases, first)]
    done.set()
    await following

    async with first.connection() as connection:
        rows = await connection.fetch("SELECT * FROM inbox_messages WHERE user_id = $1", "jane")
        head = await connection.fetchval(
            "SELECT revision FROM inbox_users WHERE user_id = $1", "jane"
        )
    stored = {row["id"]: StoredMessage.read(dict(row)) for row in rows}
    assert follower.known == stored
    assert head == len(stored) + sum(marker.result() for marker in markers)
    assert max(message.revision for message in stored.values()) == head
    assert max(Counter(message.position for message in stored.values()).values()) == 1

    reading = InboxReading(second)
    page = await reading.page(USER, UNREAD, 10_000)
    tally = await reading.unread(USER)
    assert page.counts.unread == len(page.messages) == tally.unread
    assert page.counts.unseen == sum(message.seen_at is None for message in page.messages)
    _, [feed, unread] = await reading.counted(USER, [FEED, UNREAD])
    assert (feed, unread) == (len((await reading.page(USER, FEED, 10_000)).messages), tally.unread)


async def test_reading_all_up_to_a_revision_leaves_what_arrives_meanwhile_unread(
    databases: tuple[PostgresDatabase, PostgresDatabase],
) -> None:
    first, second = databases
    await delivered(first, USER, *({} for _ in range(1_500)))
    seen = 1_500
    marking = InboxMarking(second)
    async with asyncio.TaskGroup() as together:
        together.create_task(deliver(first, 40))
        marked = [
            together.create_task(marking.mark(USER, Mark(MarkVerb.READ), UpTo(seen, FEED)))
            for _ in range(2)
        ]
    assert sum(task.result().changed for task in marked) == 1_500
    page = await InboxReading(first).page(USER, FEED, 10_000)
    late = [message for message in page.messages if message.position > seen]
    assert len(late) >= 40
    assert all(message.read_at is None for message in late)
    assert page.counts.unread == len(late)
