"""Groups of dead letters are counted by rollups: exactly, folded or not, and without reading the dead letters."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from tests.support.ledger_rig import LedgerRig

from tidings.delivery.dead_letter import DeadLetterState
from tidings.delivery.outcome import Reason
from tidings.ledger.dead_letters import open_groups
from tidings.ledger.dead_letters.groups import DeadLetterGroup, DeadLetterGrouping
from tidings.ledger.dead_letters.open_groups import GroupPosition
from tidings.ledger.dead_letters.search import DeadLetterFilter
from tidings.ledger.operators.rollups import Rollups

NOW = datetime.now(UTC)
OPEN = DeadLetterFilter(states=(DeadLetterState.OPEN,))
ADD = """
INSERT INTO dead_letters (id, reason, kind, message, fingerprint, channel, tenant, category, user_id, dead_lettered_at,
                          first_failed_at, last_failed_at, body)
SELECT gen_random_uuid(), $2, 'rejected', 'number ' || n, $1, $3, $4, $6, 'u1', at, at, at, ''
  FROM unnest($5::timestamptz[]) WITH ORDINALITY AS t (at, n)
"""


@pytest.fixture
def rollups(ledger_alone: LedgerRig) -> Rollups:
    return Rollups(ledger_alone.database, retention=30 * 86_400)


async def add(
    ledger: LedgerRig,
    group: str,
    *hours_ago: float,
    reason: str = "rejected",
    channel: str | None = "email",
    tenant: str | None = "acme",
    category: str | None = None,
) -> None:
    times = [NOW - timedelta(hours=hours) for hours in hours_ago]
    await ledger.execute(ADD, group, reason, channel, tenant, times, category)


async def largest(
    ledger: LedgerRig, wanted: DeadLetterFilter = OPEN, limit: int = 10
) -> Sequence[DeadLetterGroup]:
    return (await DeadLetterGrouping(ledger.database).largest(wanted, limit, now=NOW)).groups


def numbers(found: Sequence[DeadLetterGroup]) -> dict[str, int]:
    return {group.fingerprint: group.dead_letters for group in found}


def wanted(**fields: object) -> DeadLetterFilter:
    return DeadLetterFilter(states=(DeadLetterState.OPEN,), **fields)  # type: ignore[arg-type]


async def test_a_group_has_its_number_its_trend_and_its_oldest_and_newest(
    ledger_alone: LedgerRig, rollups: Rollups
) -> None:
    await add(ledger_alone, "aa", 0, 0, 30, tenant="acme")
    await add(ledger_alone, "aa", 5, tenant="other")
    await add(ledger_alone, "bb", 1, channel=None, tenant=None, reason="malformed")
    for _ in range(2):  # the deltas alone, and folded
        most, other = await largest(ledger_alone)
        assert (most.fingerprint, most.dead_letters, most.channel) == ("aa", 4, "email")
        assert (most.first_at, most.last_at) == (NOW - timedelta(hours=30), NOW)
        assert most.message in {"number 1", "number 2"}
        assert (other.dead_letters, other.channel, other.reason) == (1, None, Reason.MALFORMED)
        counts = most.trend.counts
        assert (len(counts), sum(counts), counts[-1], counts[-6]) == (25, 3, 2, 1)
        assert most.trend.since <= NOW - timedelta(days=1)
        await rollups.fold()


async def test_filters_that_rollups_have_are_exact(
    ledger_alone: LedgerRig, rollups: Rollups
) -> None:
    await add(ledger_alone, "aa01", 0, 1, 30)
    await add(ledger_alone, "aa02", 0, 0, channel="sms", reason="exhausted", tenant="other")
    for _ in range(2):
        for filters, found in (
            (wanted(), {"aa01": 3, "aa02": 2}),
            (wanted(channel="sms"), {"aa02": 2}),
            (wanted(reason=Reason.REJECTED), {"aa01": 3}),
            (wanted(tenant="other"), {"aa02": 2}),
            (wanted(fingerprint="aa01"), {"aa01": 3}),
            (wanted(fingerprint="aa"), {"aa01": 3, "aa02": 2}),
            (wanted(since=NOW - timedelta(hours=20)), {"aa01": 2, "aa02": 2}),
            (wanted(until=NOW - timedelta(hours=20)), {"aa01": 1}),
            (wanted(until=datetime(1, 1, 1, 5, tzinfo=UTC)), {}),
            (wanted(since=datetime(9999, 12, 31, 23, 30, tzinfo=UTC)), {}),
            (wanted(since=datetime(1, 1, 1, 5, tzinfo=UTC)), {"aa01": 3, "aa02": 2}),
            (wanted(until=datetime(9999, 12, 31, 23, 30, tzinfo=UTC)), {"aa01": 3, "aa02": 2}),
        ):
            assert open_groups.by_rollups(filters)
            assert numbers(await largest(ledger_alone, filters)) == found, filters
        assert numbers(await largest(ledger_alone, limit=1)) == {"aa01": 3}
        await rollups.fold()
    (old,) = await largest(ledger_alone, wanted(until=NOW - timedelta(hours=20)))
    assert old.first_at == old.last_at == NOW - timedelta(hours=30)
    (month, _) = await largest(ledger_alone, wanted(since=NOW - timedelta(days=90)))
    assert month.trend.bucket_seconds == 86_400
    assert (len(month.trend.counts), sum(month.trend.counts)) == (32, 3)


async def test_those_of_a_category_are_counted_by_themselves(
    ledger_alone: LedgerRig, rollups: Rollups
) -> None:
    await add(ledger_alone, "aa", 0, 1, 30, category="otp")
    await add(ledger_alone, "aa", 0, 0, 40, category="news")
    await add(ledger_alone, "bb", 2, channel="sms", category="otp")
    await add(ledger_alone, "cc", 2)
    await ledger_alone.execute(
        "UPDATE dead_letters SET state = 'discarded' WHERE category = 'otp' AND message = 'number 2'"
    )
    await ledger_alone.execute(
        "DELETE FROM dead_letters WHERE message = 'number 3' AND category = 'news'"
    )
    for _ in range(2):  # the deltas alone, and folded
        for filters, found in (
            (wanted(category="otp"), {"aa": 2, "bb": 1}),
            (wanted(category="news"), {"aa": 2}),
            (wanted(category="otp", channel="sms"), {"bb": 1}),
            (wanted(category="otp", tenant="other"), {}),
            (wanted(category="otp", since=NOW - timedelta(hours=20)), {"aa": 1, "bb": 1}),
            (wanted(category="otp", until=NOW - timedelta(hours=20)), {"aa": 1}),
            (wanted(category="receipt"), {}),
        ):
            assert open_groups.by_rollups(filters)
            assert numbers(await largest(ledger_alone, filters)) == found, filters
        group, _ = await largest(ledger_alone, wanted(category="otp"))
        assert (group.first_at, group.last_at) == (NOW - timedelta(hours=30), NOW)
        assert (sum(group.trend.counts), group.trend.counts[-2:]) == (2, (1, 1))
        await rollups.fold()


@pytest.mark.parametrize("fields", [{}, {"user_id": "u1"}])
async def test_a_period_may_begin_or_end_at_any_time(
    ledger_alone: LedgerRig, fields: dict[str, str]
) -> None:
    await add(ledger_alone, "aa", 1)
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    for since, until, found in (
        (first, None, 1),
        (first, last, 1),
        (None, last, 1),
        (None, first, 0),
        (last, None, 0),
        (last, last, 0),
        (last, first, 0),
    ):
        filters = wanted(since=since, until=until, **fields)
        assert len(await largest(ledger_alone, filters)) == found, (since, until)


async def test_other_filters_are_counted_among_the_dead_letters(ledger_alone: LedgerRig) -> None:
    await add(ledger_alone, "aa", 0, 1)
    await ledger_alone.execute("UPDATE dead_letters SET state = 'discarded'")
    await add(ledger_alone, "aa", 2)
    for filters, count in (
        (wanted(user_id="u1"), 1),
        (DeadLetterFilter(states=(DeadLetterState.DISCARDED,)), 2),
        (DeadLetterFilter(), 3),
    ):
        assert not open_groups.by_rollups(filters)
        (group,) = await largest(ledger_alone, filters)
        assert (group.dead_letters, sum(group.trend.counts)) == (count, count)
    assert await largest(ledger_alone, wanted(user_id="nobody")) == []
    assert not open_groups.by_rollups(wanted(test=True))


async def test_what_is_closed_leaves_the_number_and_stays_in_the_trend(
    ledger_alone: LedgerRig, rollups: Rollups
) -> None:
    await add(ledger_alone, "aa", 0, 1, 2)
    close = "UPDATE dead_letters SET state = 'discarded' WHERE message = 'number 1'"
    await ledger_alone.execute(close)
    for _ in range(2):
        (group,) = await largest(ledger_alone)
        assert (group.dead_letters, sum(group.trend.counts)) == (2, 3)
        assert group.last_at == NOW - timedelta(hours=1)
        await rollups.fold()
    await ledger_alone.execute("UPDATE dead_letters SET state = 'replaying'")
    assert await largest(ledger_alone) == []


async def test_what_was_edited_or_closed_when_it_came_is_no_arrival(
    ledger_alone: LedgerRig,
) -> None:
    await add(ledger_alone, "aa", 0)
    edit = """
    WITH old AS (UPDATE dead_letters SET state = 'superseded' RETURNING *)
    INSERT INTO dead_letters (id, reason, kind, message, fingerprint, channel, tenant, dead_lettered_at, first_failed_at,
                              last_failed_at, body, supersedes, state)
    SELECT gen_random_uuid(), reason, kind, message, fingerprint, channel, tenant, dead_lettered_at, first_failed_at,
           last_failed_at, body, CASE new WHEN 'open' THEN id END, new
      FROM old, unnest(ARRAY['open', 'discarded']) AS new
    """
    await ledger_alone.execute(edit)
    (group,) = await largest(ledger_alone)
    assert (group.dead_letters, sum(group.trend.counts)) == (1, 1)


async def test_hours_without_open_dead_letters_are_forgotten_after_five_weeks(
    ledger_alone: LedgerRig, rollups: Rollups
) -> None:
    await add(ledger_alone, "aa", 24 * 40)
    await add(ledger_alone, "bb", 24 * 40)
    await add(ledger_alone, "bb", 0)
    await ledger_alone.execute(
        "UPDATE dead_letters SET state = 'discarded' WHERE fingerprint = 'bb'"
    )
    await rollups.fold()
    await rollups.expire()
    for kept in (
        await ledger_alone.fetch("SELECT fingerprint, open FROM dead_letter_hours ORDER BY 1"),
        await ledger_alone.fetch("SELECT fingerprint, open FROM dead_letter_categories ORDER BY 1"),
    ):
        assert [tuple(row.values()) for row in kept] == [("aa", 1), ("bb", 0)]
    assert numbers(await largest(ledger_alone, wanted(until=NOW - timedelta(days=39)))) == {"aa": 1}


@pytest.mark.parametrize(
    "filters",
    [{}, {"since": NOW - timedelta(hours=9)}, {"category": "otp"}, {"user_id": "u1"}],
)
async def test_the_groups_continue_behind_the_last_one_of_a_page(
    ledger_alone: LedgerRig, filters: dict[str, object]
) -> None:
    for group, times in (("aa", 2), ("bb", 3), ("cc", 2), ("dd", 1), ("ee", 2)):
        await add(ledger_alone, group, *[1.0] * times, category="otp")
        await add(ledger_alone, group, 1.0, tenant="shop", category="otp")
    await ledger_alone.execute("UPDATE dead_letters SET user_id = 'u1'")
    names, after = [], None
    grouping = DeadLetterGrouping(ledger_alone.database)
    while found := (await grouping.largest(wanted(**filters), 2, after, now=NOW)).groups:
        names += [group.fingerprint for group in found]
        after = GroupPosition(found[-1].dead_letters, found[-1].fingerprint)
    assert names == ["bb", "aa", "cc", "ee", "dd"]


async def test_groups_read_no_dead_letters_but_the_oldest_and_the_newest(
    ledger_alone: LedgerRig, rollups: Rollups
) -> None:
    many = """
    INSERT INTO dead_letters (id, reason, kind, message, fingerprint, channel, tenant, category, dead_lettered_at,
                              first_failed_at, last_failed_at, body)
    SELECT gen_random_uuid(), 'rejected', 'rejected', '', n % 20, 'email', 'acme', 'otp', now() - n * interval '1 minute', now(), now(), ''
      FROM generate_series(1, 20000) AS n
    """
    await ledger_alone.execute(many)
    await rollups.fold()
    await ledger_alone.execute("ANALYZE dead_letters, open_dead_letters, dead_letter_hours")
    day = (NOW - timedelta(days=1), NOW + timedelta(hours=1))
    none = (None, None, None, None)
    for statement, values in (
        (open_groups.OPEN, (*none, 50, None, None)),
        (open_groups.OPEN, ("acme", "email", "rejected", "1", 50, 9, "0")),
        (open_groups.OPEN_OF_PERIOD, (*none, 50, None, None, *day)),
        (open_groups.OPEN_OF_PERIOD, ("acme", None, None, None, 50, 9, "0", *day)),
        (open_groups.OPEN_OF_CATEGORY, (*none, 50, None, None, *open_groups.EVER, "otp")),
    ):
        explained = await ledger_alone.fetch(f"EXPLAIN {statement}", *values)
        plan = "\n".join(row["QUERY PLAN"] for row in explained)
        assert "Seq Scan on dead_letters" not in plan, plan
        assert "dead_letters_of_group" in plan, plan


async def test_dead_letters_from_before_the_migration_are_counted_by_hour(
    empty_database_url: str,
) -> None:
    from tidings.ledger.migrate import migrate, upgrade

    await asyncio.to_thread(upgrade, empty_database_url, "0030")
    connection = await asyncpg.connect(empty_database_url)
    times = [NOW, NOW, NOW - timedelta(days=40)]
    await connection.execute(ADD, "aa", "rejected", None, None, times, None)
    await connection.execute(
        "UPDATE dead_letters SET state = 'discarded', actor = 'ada' WHERE message = 'number 1'"
    )
    await migrate(empty_database_url)
    counted = await connection.fetch("SELECT open, arrived FROM dead_letter_hours ORDER BY hour")
    assert [tuple(row) for row in counted] == [(1, 0), (1, 2)]
    by_category = "SELECT open, arrived FROM dead_letter_categories ORDER BY hour"
    assert [tuple(row) for row in await connection.fetch(by_category)] == [(1, 0), (1, 2)]
    rollup = "SELECT count, (SELECT count(*) FROM dead_letter_deltas) FROM open_dead_letters"
    assert tuple(await connection.fetchrow(rollup)) == (2, 0)
    await connection.close()
