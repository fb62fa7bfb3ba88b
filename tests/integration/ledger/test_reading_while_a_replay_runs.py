"""While a replay closes the oldest dead letters, what it has closed is not read to find the oldest that is open."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest
from tests.support.ledger_rig import LedgerRig

from tidings.delivery.dead_letter import DeadLetterState
from tidings.delivery.outcome import Reason
from tidings.ledger.dead_letters import editing, open_groups
from tidings.ledger.dead_letters.groups import DeadLetterGrouping
from tidings.ledger.dead_letters.matching_groups import LOOKED_AT, step_of
from tidings.ledger.dead_letters.search import DeadLetterFilter, where_of
from tidings.ledger.operators import alerts, backlog, rule_counts
from tidings.ledger.operators.backlog import OpenDeadLetters, count_backlog
from tidings.ledger.operators.rollups import Rollups

HOUR = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
COUNT, CLOSED = 6_000, 5_000
FEW = 100
"""Blocks: what was closed is in thousands."""
ADD = """
INSERT INTO dead_letters (id, reason, kind, message, fingerprint, channel, tenant, category, dead_lettered_at, first_failed_at,
                          last_failed_at, body)
SELECT gen_random_uuid(), 'rejected', 'rejected', '', 'f' || n % 2, 'email', 'acme', 'otp', $1::timestamptz + n * interval '100 ms', now(), now(),
       decode(repeat(md5(n::text), 20), 'hex')
  FROM generate_series(1, $2::int) AS n ORDER BY md5(n::text)
"""
"""Neighbours in time are not on the same page."""
HOURS = """
INSERT INTO dead_letter_hours (hour, tenant, channel, reason, fingerprint, open, arrived)
SELECT $1::timestamptz - hours * interval '1 hour', 'acme', 'email', 'rejected', 'f' || n, 0, 9
  FROM generate_series(1, 800) AS hours, generate_series(10, 29) AS n
"""
"""Five weeks of twenty groups."""
CLOSE = """
UPDATE dead_letters SET state = 'replayed', replayed_at = now(), changed_at = now()
 WHERE id IN (SELECT id FROM dead_letters WHERE state = 'open' ORDER BY dead_lettered_at LIMIT $1)
"""
NONE = (None, None, None, None)
STATEMENTS = {
    "backlog": (backlog.OPEN, ()),
    "backlog of a tenant": (backlog.OPEN_OF_TENANT, ("acme",)),
    "groups": (open_groups.OPEN, (*NONE, 50, None, None)),
    "groups of a period": (
        open_groups.OPEN_OF_PERIOD,
        (*NONE, 50, None, None, HOUR, HOUR + timedelta(hours=3)),
    ),
    "groups of a category": (
        open_groups.OPEN_OF_CATEGORY,
        (*NONE, 50, None, None, *open_groups.EVER, "otp"),
    ),
    "an alert": (alerts.WORST, (HOUR, 10)),
    "an alert of a rule": (rule_counts.WORST, (None, None, None, None, None, HOUR, "[]")),
}


@pytest.fixture
async def replaying(ledger_alone: LedgerRig) -> AsyncIterator[LedgerRig]:
    """Most of an hour's dead letters are closed, and none of their index entries can be given up."""
    await ledger_alone.execute("ALTER TABLE dead_letters SET (autovacuum_enabled = false)")
    await ledger_alone.execute(ADD, HOUR, COUNT)
    await Rollups(ledger_alone.database, retention=30 * 86_400).fold()
    await ledger_alone.execute(HOURS, HOUR)
    await ledger_alone.execute("ANALYZE")
    async with (
        ledger_alone.database.connection() as older,
        older.transaction(isolation="repeatable_read"),
    ):
        await older.fetchval("SELECT count(*) FROM jobs")
        await ledger_alone.execute(CLOSE, CLOSED)
        yield ledger_alone


async def blocks(
    connection: "asyncpg.Connection[asyncpg.Record]", statement: str, *values: object
) -> int:
    """How many blocks a statement touches."""
    [explained] = await connection.fetchrow(
        f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", *values
    )
    plan = json.loads(explained)[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


async def test_nothing_reads_the_dead_letters_that_a_replay_has_closed(
    replaying: LedgerRig,
) -> None:
    rollups = Rollups(replaying.database, retention=30 * 86_400)
    async with replaying.database.connection() as connection:
        for _ in range(2):  # the deltas alone, and folded
            read = {
                name: await blocks(connection, statement, *values)
                for name, (statement, values) in STATEMENTS.items()
            }
            assert max(read.values()) < FEW, read
            await rollups.fold()


async def test_the_few_of_a_state_are_not_looked_for_among_all_others(
    replaying: LedgerRig,
) -> None:
    few = (DeadLetterState.DISCARDED,)
    await replaying.execute(
        "UPDATE dead_letters SET state = 'discarded' WHERE dead_lettered_at < $1",
        HOUR + timedelta(seconds=1),
    )
    await replaying.execute("ANALYZE dead_letters")
    where, values = where_of(DeadLetterFilter(states=few, category="otp"))
    page = f"SELECT d.id FROM dead_letters d WHERE {where} ORDER BY d.dead_lettered_at DESC, d.id DESC LIMIT 50"  # noqa: S608
    step, filters = step_of(DeadLetterFilter(states=few, channel="email"))
    async with replaying.database.connection() as connection:
        assert await blocks(connection, page, *values) < FEW
        of_step = (HOUR, HOUR + timedelta(hours=3), LOOKED_AT, 3600.0, *filters)
        assert await blocks(connection, step, *of_step) < FEW


async def test_hours_that_changed_are_looked_up_however_cheap_a_join_with_all_seems(
    replaying: LedgerRig,
) -> None:
    async with replaying.database.transaction() as connection:
        await connection.execute("SET LOCAL enable_nestloop = off")
        assert await blocks(connection, backlog.OPEN) < FEW


async def test_the_hour_has_to_do_while_most_of_it_is_closed(replaying: LedgerRig) -> None:
    [group] = (await count_backlog(replaying.database)).open.values()
    found = await DeadLetterGrouping(replaying.database).largest(
        DeadLetterFilter(states=(DeadLetterState.OPEN,)), 5, now=datetime.now(UTC)
    )
    first, second = found.groups
    age = (datetime.now(UTC) - HOUR).total_seconds()
    assert (group.count, group.oldest) == (COUNT - CLOSED, pytest.approx(age, abs=5))
    assert first.first_at == second.first_at == HOUR
    assert first.dead_letters == second.dead_letters == (COUNT - CLOSED) / 2


async def test_what_another_tenant_replays_leaves_the_oldest_of_a_tenant_exact(
    replaying: LedgerRig,
) -> None:
    later = HOUR + timedelta(minutes=50)
    await replaying.execute(ADD, later, 1)
    await replaying.execute(
        "UPDATE dead_letters SET tenant = 'shop' WHERE dead_lettered_at > $1", later
    )
    [fault] = (await count_backlog(replaying.database, "shop")).open.values()
    at = later + timedelta(milliseconds=100)
    assert fault.oldest == pytest.approx((datetime.now(UTC) - at).total_seconds(), abs=5)


@pytest.mark.parametrize("folded", [True, False])
async def test_the_oldest_is_exact_behind_a_few_that_are_closed(
    ledger_alone: LedgerRig, *, folded: bool
) -> None:
    """And the next hour counts when all of the first is closed."""
    rollups = Rollups(ledger_alone.database, retention=30 * 86_400)
    await ledger_alone.execute(ADD, HOUR, 100)
    await ledger_alone.execute(ADD, HOUR + timedelta(hours=1), 2)
    await rollups.fold()
    for close, oldest in (
        (0, HOUR + timedelta(milliseconds=100)),
        (40, HOUR + timedelta(milliseconds=4_100)),
        (60, HOUR + timedelta(hours=1, milliseconds=100)),
    ):
        await ledger_alone.execute(CLOSE, close)
        if folded:
            await rollups.fold()
        now = datetime.now(UTC)
        [fault] = (await count_backlog(ledger_alone.database)).open.values()
        found = await DeadLetterGrouping(ledger_alone.database).largest(
            DeadLetterFilter(states=(DeadLetterState.OPEN,)), 5, now=now
        )
        assert fault.oldest == pytest.approx((now - oldest).total_seconds(), abs=1)
        assert min(group.first_at for group in found.groups) == oldest


async def edit_to_sms(ledger: LedgerRig, which: str) -> None:
    """Put dead letters of another channel in the place of these, as an edit does."""
    rows = await ledger.fetch(f"SELECT id, category, routing_key FROM dead_letters WHERE {which}")  # noqa: S608
    edits = [
        (row["id"], uuid4(), None, 0, "sms", "high", "acme", row["category"], *[None] * 4, "", b"")
        for row in rows
    ]
    await ledger.execute(editing.SUPERSEDE, "ada", *map(list, zip(*edits, strict=True)), "")


async def oldest_and_groups(
    ledger: LedgerRig, channel: str | None = None
) -> tuple[dict[str, float], list[tuple[int, datetime, datetime]]]:
    """When the oldest of each channel was dead-lettered, in seconds, and the groups."""
    wanted = DeadLetterFilter(states=(DeadLetterState.OPEN,), channel=channel)
    now = datetime.now(UTC)
    faults = (await count_backlog(ledger.database)).open
    of_tenant = (await count_backlog(ledger.database, "acme")).open
    assert of_tenant == {
        of: OpenDeadLetters(fault.count, pytest.approx(fault.oldest, abs=1))
        for of, fault in faults.items()
    }
    found = await DeadLetterGrouping(ledger.database).largest(wanted, 5, now=now)
    return (
        {of: (now - HOUR).total_seconds() - fault.oldest for (of, _), fault in faults.items()},
        [(group.dead_letters, group.first_at, group.last_at) for group in found.groups],
    )


@pytest.mark.parametrize("later", [False, True])
async def test_a_group_stays_while_those_edited_to_another_channel_are_replayed(
    ledger_alone: LedgerRig, *, later: bool
) -> None:
    """The hour has others of the group, of the channel that they had."""
    rollups = Rollups(ledger_alone.database, retention=30 * 86_400)
    await ledger_alone.execute(ADD, HOUR, 20)
    await ledger_alone.execute("DELETE FROM dead_letters WHERE fingerprint = 'f0'")
    if later:
        await ledger_alone.execute(ADD, HOUR + timedelta(hours=1), 1)
    await edit_to_sms(
        ledger_alone,
        f"dead_lettered_at > '{HOUR + timedelta(seconds=1)}' AND dead_lettered_at < '{HOUR + timedelta(minutes=1)}'",
    )
    await rollups.fold()
    await ledger_alone.execute(
        "UPDATE dead_letters SET state = 'replayed', replayed_at = now() WHERE channel = 'sms'"
    )
    first = HOUR + timedelta(milliseconds=100)
    for _ in range(2):  # the deltas alone, and folded
        oldest, [(count, first_at, last_at)] = await oldest_and_groups(ledger_alone)
        assert oldest == {"email": pytest.approx(0.1, abs=1)}
        assert (count, first_at) == (5 + later, first)
        assert last_at == (
            first + timedelta(hours=1) if later else HOUR + timedelta(milliseconds=900)
        )
        await rollups.fold()


@pytest.mark.parametrize("folded", [True, False])
async def test_each_channel_of_a_group_has_the_age_of_its_own_oldest(
    ledger_alone: LedgerRig, *, folded: bool
) -> None:
    await ledger_alone.execute(ADD, HOUR, 1)
    await ledger_alone.execute(ADD, HOUR + timedelta(minutes=40), 1)
    await edit_to_sms(ledger_alone, f"dead_lettered_at > '{HOUR + timedelta(minutes=40)}'")
    if folded:
        await Rollups(ledger_alone.database, retention=30 * 86_400).fold()
    sms = HOUR + timedelta(minutes=40, milliseconds=100)
    oldest, [group] = await oldest_and_groups(ledger_alone, "sms")
    assert oldest == {"email": pytest.approx(0.1, abs=1), "sms": pytest.approx(2_400.1, abs=1)}
    assert group == (1, sms, sms)


async def test_a_group_is_listed_wherever_its_rollups_say_that_it_is(
    ledger_alone: LedgerRig,
) -> None:
    """A bound that is wrong costs time, not a group."""
    await ledger_alone.execute(ADD, HOUR, 3)
    await Rollups(ledger_alone.database, retention=30 * 86_400).fold()
    first, last = (HOUR + timedelta(milliseconds=at) for at in (100, 300))
    for wrong in ("SET hour = hour + interval '1 hour'", "SET open = 0"):
        await ledger_alone.execute(f"UPDATE dead_letter_hours {wrong}")
        oldest, [group, other] = await oldest_and_groups(ledger_alone)
        assert (group[0], group[2], other[0]) == (2, last, 1)
    assert (oldest, group[1]) == ({"email": pytest.approx(0.1, abs=1)}, first)


async def test_those_edited_to_another_channel_and_closed_are_not_read(
    replaying: LedgerRig,
) -> None:
    await edit_to_sms(replaying, "state = 'open'")
    rollups = Rollups(replaying.database, retention=30 * 86_400)
    await replaying.execute(CLOSE, COUNT - CLOSED - 10)
    async with replaying.database.connection() as connection:
        for _ in range(2):
            assert await blocks(connection, backlog.OPEN) < FEW
            assert await blocks(connection, backlog.OPEN_OF_TENANT, "acme") < FEW
            sms = (None, "sms", Reason.REJECTED.value, None, 50, None, None)
            assert await blocks(connection, open_groups.OPEN, *sms) < FEW
            await rollups.fold()
