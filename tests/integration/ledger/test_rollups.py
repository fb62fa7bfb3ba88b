"""Outcomes are counted in the transaction that records them, and folded into rollups without losing or doubling any."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest
from tests.support.attempts import attempt_of
from tests.support.ledger_rig import BOUNCE, RETRY, LedgerRig, record_of, request_of, settings_of

from tidings.delivery.errors import LedgerRefused
from tidings.delivery.outcome import Outcome, Sent
from tidings.ledger import PostgresLedger
from tidings.ledger.operators import rollups as rollups_
from tidings.ledger.operators.backlog import count_backlog
from tidings.ledger.operators.reports import Reports
from tidings.ledger.operators.rollups import Rollups, Window
from tidings.ledger.operators.statistics import Choice, Statistics
from tidings.scheduler.rollups import fold

SENT = Sent("smtp:relay", "4711", "250")
DEAD_LETTER = """
INSERT INTO dead_letters (id, reason, kind, message, fingerprint, channel, tenant, first_failed_at, last_failed_at, body)
SELECT gen_random_uuid(), 'rejected', 'rejected', '', 'f' || n % 2, 'email', 'acme', now(), now(), ''
  FROM generate_series(1, 10) AS n
"""
OPEN = "SELECT fingerprint, sum(count)::int AS count FROM open_dead_letters GROUP BY 1 ORDER BY 1"


@pytest.fixture
def rollups(ledger_alone: LedgerRig) -> Rollups:
    """Those of a database without any."""
    return Rollups(ledger_alone.database, retention=30 * 86_400)


def last_hour() -> Window:
    now = datetime.now(UTC)
    return Window.around(now - timedelta(hours=1), None, now)


async def stats(ledger: LedgerRig, choice: Choice = Choice()) -> Statistics:  # noqa: B008  # frozen
    return await Reports(ledger.database).stats(last_hour(), choice)


async def recorded(ledger: LedgerRig, *outcomes: Outcome, **fields: object) -> None:
    """One notification for each, all in one batch."""
    attempts = [attempt_of(**fields) for _ in outcomes]
    await ledger.claim(*(request_of(attempt, str(attempt.id)) for attempt in attempts))
    records = [
        record_of(attempt, str(attempt.id), outcome)
        for attempt, outcome in zip(attempts, outcomes, strict=True)
    ]
    assert all(await ledger.records.record(records))


async def test_details_are_by_time_and_channel_and_by_category_and_add_up(
    ledger_alone: LedgerRig, rollups: Rollups
) -> None:
    await recorded(ledger_alone, SENT, SENT, BOUNCE, category="otp")
    await rollups.fold()
    await recorded(ledger_alone, SENT, RETRY, category="news")
    found = await Reports(ledger_alone.database).stats(last_hour(), details=True)
    assert {
        name: (it.succeeded, it.failed, it.retried) for name, it in found.categories.items()
    } == {
        "news": (1, 0, 1),
        "otp": (2, 1, 0),
    }
    assert found.categories["otp"].p95 is not None
    [series] = found.series.values()
    assert series.succeeded == [it.succeeded for _, it in found.buckets]
    assert series.failed == [it.failed for _, it in found.buckets]
    assert sum(series.failed) == found.total.failed == 1
    assert series.retried == [it.retried for _, it in found.buckets]
    assert sum(series.retried) == found.total.retried == 1
    of_some = await Reports(ledger_alone.database).stats(
        last_hour(), Choice(categories=("otp",)), details=True
    )
    assert (list(of_some.categories), of_some.total) == (["otp"], found.categories["otp"])
    assert [sum(each.failed) for each in of_some.series.values()] == [1]
    [email] = (await Reports(ledger_alone.database).channel_rates(last_hour())).channels.values()
    assert email == found.total
    plain = await stats(ledger_alone)
    assert (plain.series, plain.categories) == ({}, {})
    assert plain.total == found.total
    assert [it.failed for _, it in plain.buckets] == [it.failed for _, it in found.buckets]


async def test_a_batch_adds_a_row_for_each_combination_and_not_for_each_notification(
    ledger_alone: LedgerRig,
) -> None:
    await recorded(ledger_alone, *[SENT] * 90, *[BOUNCE] * 9, RETRY)
    deltas = await ledger_alone.fetch(
        "SELECT outcome, sum(count)::int AS n, count(*) AS rows FROM outcome_deltas GROUP BY 1"
    )
    assert {row["outcome"]: row["n"] for row in deltas} == {
        "sent": 90,
        "rejected": 9,
        "retry_later": 1,
    }
    assert sum(row["rows"] for row in deltas) <= 6


async def test_what_ends_without_an_attempt_is_counted_too(ledger_alone: LedgerRig) -> None:
    ledger = PostgresLedger(
        settings_of("postgresql://unused"), actor="test", database=ledger_alone.database
    )
    key = {"idempotency_key": f"key {uuid4()}"}
    first = attempt_of(**key)
    await ledger_alone.claim(request_of(first, "a"))
    await ledger_alone.claim(request_of(attempt_of(**key), "b"))
    waiting = attempt_of(scheduled_at=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    await ledger_alone.claim(request_of(waiting, "c"))
    await ledger.changes.cancel(waiting.id, actor="test", reason="no")
    total = (await stats(ledger_alone)).total
    assert total.outcomes == {"suppressed": 1, "cancelled": 1}
    assert (total.attempts, total.finished, total.success_rate) == (0, 0, None)


async def test_a_record_that_is_refused_or_comes_twice_is_counted_once(
    ledger_alone: LedgerRig,
) -> None:
    attempt = attempt_of()
    await ledger_alone.claimed(attempt, "mine")
    record = record_of(attempt, "mine", SENT)
    for _ in range(2):
        await ledger_alone.records.record([record])
    await ledger_alone.records.record([record_of(attempt, "another", SENT)])
    assert (await stats(ledger_alone)).total.outcomes == {"sent": 1}


async def test_a_batch_that_fails_counts_nothing(ledger_alone: LedgerRig) -> None:
    attempt = attempt_of()
    await ledger_alone.claimed(attempt, "mine")
    await ledger_alone.execute(
        "INSERT INTO attempts (notification_id, epoch, attempt, started_at, duration_ms, state, worker)"
        " VALUES ($1, 0, 1, now(), 1, 'sent', 'restored')",
        attempt.id,
    )
    with pytest.raises(LedgerRefused):
        await ledger_alone.records.record([record_of(attempt, "mine", SENT)])
    assert (await stats(ledger_alone)).total.outcomes == {}


async def test_statistics_say_the_same_before_and_after_folding(
    ledger_alone: LedgerRig, rollups: Rollups
) -> None:
    await recorded(ledger_alone, SENT, SENT, BOUNCE, RETRY)
    window = last_hour()
    before = await Reports(ledger_alone.database).stats(window)
    assert await rollups.fold() > 0
    await recorded(ledger_alone, SENT)
    assert (await stats(ledger_alone)).total.outcomes["sent"] == 3
    assert await rollups.fold() > 0
    assert await rollups.fold() == 0
    after = await Reports(ledger_alone.database).stats(window)
    assert after.total.attempts == before.total.attempts + 1
    assert {name: n for name, n in after.total.outcomes.items() if name != "sent"} == {
        name: n for name, n in before.total.outcomes.items() if name != "sent"
    }
    for hours in (1, 24, 24 * 7, 24 * 30, 24 * 400):
        now = datetime.now(UTC)
        wide = Window.around(now - timedelta(hours=hours), None, now)
        found = await Reports(ledger_alone.database).stats(wide)
        assert found.total == after.total, wide
        assert sum(rates.attempts for _, rates in found.buckets) == 5


async def test_several_schedulers_fold_each_delta_once(
    ledger_alone: LedgerRig, rollups: Rollups
) -> None:
    async def record() -> None:
        for _ in range(10):
            await recorded(ledger_alone, SENT, BOUNCE)

    async def keep_folding() -> None:
        for _ in range(20):
            await rollups.fold()

    await asyncio.gather(record(), keep_folding(), keep_folding(), record())
    await rollups.fold()
    assert (await stats(ledger_alone)).total.outcomes == {"sent": 20, "rejected": 20}
    [left] = await ledger_alone.fetch("SELECT count(*) AS n FROM outcome_deltas")
    assert left["n"] == 0


async def test_a_producer_that_invents_categories_makes_no_more_than_so_many(
    ledger_alone: LedgerRig, rollups: Rollups, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollups_, "CATEGORIES", 3)
    await recorded(ledger_alone, SENT, category="known")
    await rollups.fold()
    for n in range(6):
        await recorded(ledger_alone, SENT, category=f"invented-{n}")
        await recorded(ledger_alone, SENT, category="known", tenant="acme")
        await rollups.fold()
    rows = await ledger_alone.fetch(
        "SELECT tenant, category, count FROM outcome_rollups WHERE width = 86400"
    )
    counts: Counter[tuple[str, str]] = Counter()
    for row in rows:
        counts[row["tenant"], row["category"]] += row["count"]
    assert counts == {
        ("default", "known"): 1,
        ("default", "invented-0"): 1,
        ("default", "invented-1"): 1,
        ("default", "other"): 4,
        ("acme", "known"): 6,
    }


async def test_open_dead_letters_are_counted_by_fingerprint_whatever_changes_them(
    ledger_alone: LedgerRig, rollups: Rollups
) -> None:
    async def counted() -> dict[str, int]:
        await rollups.fold()
        return {row["fingerprint"]: row["count"] for row in await ledger_alone.fetch(OPEN)}

    await ledger_alone.execute(DEAD_LETTER)
    [backlog] = (await count_backlog(ledger_alone.database, "acme")).open.values()
    assert backlog.count == 10
    assert await counted() == {"f0": 5, "f1": 5}
    await ledger_alone.execute("UPDATE dead_letters SET note = 'seen'")
    await ledger_alone.execute(
        "UPDATE dead_letters SET state = 'discarded' WHERE fingerprint = 'f1'"
    )
    assert await counted() == {"f0": 5}
    await ledger_alone.execute("UPDATE dead_letters SET state = 'open' WHERE fingerprint = 'f1'")
    await ledger_alone.execute("DELETE FROM dead_letters WHERE fingerprint = 'f0'")
    assert await counted() == {"f1": 5}
    assert (await count_backlog(ledger_alone.database, "other")).open == {}


async def test_rollups_go_after_their_retention_and_narrow_ones_before(
    ledger_alone: LedgerRig, rollups: Rollups
) -> None:
    await recorded(ledger_alone, SENT, category="old")
    await ledger_alone.execute("UPDATE outcome_deltas SET minute = minute - interval '10 days'")
    await rollups.fold()
    widths = "SELECT DISTINCT width FROM outcome_rollups ORDER BY 1"
    assert await rollups.expire() > 0
    assert [row["width"] for row in await ledger_alone.fetch(widths)] == [900, 3600, 14400, 86400]
    assert await Rollups(ledger_alone.database, retention=0).expire() == 0
    assert await Rollups(ledger_alone.database, retention=86_400).expire() > 0
    assert await ledger_alone.fetch(widths) == []
    assert await ledger_alone.fetch("SELECT * FROM rollup_categories") == []


async def test_a_scheduler_folds_until_nothing_is_left(
    ledger_alone: LedgerRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollups_, "AT_ONCE", 2)
    monkeypatch.setattr("tidings.scheduler.rollups.AT_ONCE", 2)
    for n in range(5):
        await recorded(ledger_alone, SENT, category=f"c{n}")
    ledger = PostgresLedger(
        settings_of("postgresql://unused"), actor="test", database=ledger_alone.database
    )
    assert await fold(ledger) > 0
    assert await ledger_alone.fetch("SELECT * FROM outcome_deltas") == []


async def test_open_dead_letters_from_before_the_migration_are_counted(
    empty_database_url: str,
) -> None:
    from tidings.ledger.migrate import migrate, upgrade

    await asyncio.to_thread(upgrade, empty_database_url, "0023")
    connection = await asyncpg.connect(empty_database_url)
    await connection.execute(DEAD_LETTER)
    await migrate(empty_database_url)
    assert [tuple(row) for row in await connection.fetch(OPEN)] == [("f0", 5), ("f1", 5)]
    await connection.close()
