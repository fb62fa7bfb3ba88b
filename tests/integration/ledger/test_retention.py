"""What is over goes with its week, or row by row; what is unfinished or has an open dead letter stays, whatever its age."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest
from tests.support.attempts import attempt_of
from tests.support.ids import id_at
from tests.support.ledger_rig import LedgerRig, settings_of

from tidings.delivery.errors import LedgerUnavailable
from tidings.delivery.states import State
from tidings.ledger import ending, retention
from tidings.ledger.database import PostgresDatabase
from tidings.ledger.dead_letters.closing import Closings
from tidings.ledger.partitions import Partitions
from tidings.ledger.retention import PartitionCount, Retention, RetentionPeriods, RetentionStep

DAY = 86_400.0
NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(weeks=10)
CHILDREN = (
    "INSERT INTO attempts (notification_id, epoch, attempt, started_at, duration_ms, state, worker)"
    " VALUES ($1, 0, 1, now(), 1, 'sent', 'w')",
    "INSERT INTO transitions (notification_id, epoch, after, actor, reason) VALUES ($1, 0, 'sent', 'w', '')",
)
AGE = """
UPDATE notifications SET accepted_at = $2, updated_at = $2, finished_at = CASE WHEN finished_at IS NULL THEN NULL ELSE $2::timestamptz END WHERE id = $1
"""
DEAD_LETTER = """
INSERT INTO dead_letters (id, notification_id, state, reason, kind, message, fingerprint, first_failed_at, last_failed_at, body, changed_at)
VALUES ($1, $2, $3, 'rejected', 'rejected', '', 'f', now(), now(), '', $4)
"""
MONDAY = LONG_AGO.date() - timedelta(days=LONG_AGO.weekday())
PLACES = "SELECT id, tableoid::regclass::text AS place FROM notifications"


@pytest.fixture
async def rig(database_url: str) -> AsyncIterator[LedgerRig]:
    """With partitions for a week of long ago."""
    async with PostgresDatabase(settings_of(database_url)) as database:
        await Partitions(database).add_missing(LONG_AGO.date())
        yield LedgerRig(database)


async def put(
    rig: LedgerRig,
    state: State,
    accepted: datetime = LONG_AGO,
    *,
    id: UUID | None = None,
    tenant: str | None = None,
) -> UUID:
    """A notification of that time, with an attempt and a transition."""
    attempt = attempt_of(id=id or id_at(accepted), tenant=tenant)
    await rig.put(attempt, state)
    await rig.execute(AGE, attempt.id, accepted)
    for statement in CHILDREN:
        await rig.execute(statement, attempt.id)
    return attempt.id


async def make_dead_letter(rig: LedgerRig, notification: UUID | None, state: str) -> UUID:
    dead_letter = uuid4()
    await rig.execute(DEAD_LETTER, dead_letter, notification, state, LONG_AGO)
    return dead_letter


async def places(rig: LedgerRig) -> dict[UUID, str]:
    found = {row["id"]: row["place"] for row in await rig.fetch(PLACES)}
    for table in ("attempts", "transitions"):
        rows = await rig.fetch(f"SELECT notification_id AS id FROM {table}")  # noqa: S608
        assert {row["id"] for row in rows} == found.keys()
    return found


async def run(rig: LedgerRig, periods: RetentionPeriods) -> list[RetentionStep]:
    return [done async for done in Retention(rig.database, periods).run(NOW.date())]


async def watch(rig: LedgerRig) -> None:
    await rig.fetch("SELECT tidings_watch_partition($1)", MONDAY)


async def read(rig: LedgerRig, most: int = 2) -> bool:
    """Some more of the week; whether that was all of it."""
    [row] = await rig.fetch(
        "SELECT complete FROM tidings_read_partition($1, $2::jsonb, $3)",
        MONDAY,
        RetentionPeriods(30 * DAY).json,
        most,
    )
    complete: bool = row["complete"]
    return complete


async def retire(rig: LedgerRig) -> None:
    await rig.fetch("SELECT tidings_retire_partition($1, 10)", MONDAY)


async def drop(rig: LedgerRig) -> None:
    await rig.fetch("SELECT tidings_drop_retired()")


async def counts(rig: LedgerRig, periods: RetentionPeriods) -> Mapping[str, PartitionCount]:
    return await Retention(rig.database, periods).counts(NOW.date())


async def weeks(rig: LedgerRig) -> int:
    return len({partition.since for partition in await Partitions(rig.database).all()})


async def test_a_week_that_is_over_goes_and_what_must_live_on_moves(rig: LedgerRig) -> None:
    await put(rig, State.SENT)
    gone = await put(rig, State.FAILED)
    waiting, open_ = await put(rig, State.RETRYING), await put(rig, State.FAILED)
    longer, young = await put(rig, State.CANCELLED), await put(rig, State.SENT, NOW)
    await make_dead_letter(rig, gone, "discarded")
    await make_dead_letter(rig, open_, "open")
    before = await weeks(rig)
    done = await run(rig, RetentionPeriods(30 * DAY, {"cancelled": 365 * DAY}))
    assert [step.moved for step in done if step.deleted is None] == [3, 0, 0]
    found = await places(rig)
    assert {id for id, place in found.items() if place == "notifications_default"} == {
        waiting,
        open_,
        longer,
    }
    assert found.keys() == {waiting, open_, longer, young}
    assert await weeks(rig) == before - 3
    left = await rig.fetch(
        "SELECT relname FROM pg_class WHERE relname LIKE $1", f"%{LONG_AGO:_%Y%m}%"
    )
    assert left == []
    assert (await rig.fetch("SELECT state FROM dead_letters")) == [{"state": "open"}]


async def test_what_is_in_the_default_partition_goes_row_by_row(
    rig: LedgerRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 2)
    for _ in range(5):
        await put(rig, State.SENT, id=uuid4())
    kept = [
        await put(rig, State.RETRYING, id=uuid4()),
        await put(rig, State.SENT, NOW - timedelta(days=29), id=uuid4()),
    ]
    done = await run(rig, RetentionPeriods(30 * DAY))
    assert RetentionStep("notifications_default", 5) in done
    assert sorted(await places(rig)) == sorted(kept)


async def test_a_state_with_a_shorter_period_goes_before_its_week(rig: LedgerRig) -> None:
    await put(rig, State.CANCELLED)
    sent = await put(rig, State.SENT)
    await rig.execute("UPDATE notifications SET reason = state WHERE state = 'cancelled'")
    before = await weeks(rig)
    await run(rig, RetentionPeriods(365 * DAY, {"cancelled": 7 * DAY}))
    assert list(await places(rig)) == [sent]
    assert await weeks(rig) == before


@pytest.mark.parametrize("tenant", [None, "acme"])
async def test_delivered_with_a_shorter_period_goes_before_its_week(
    rig: LedgerRig, tenant: str | None
) -> None:
    await put(rig, State.DELIVERED, tenant=tenant)
    sent = await put(rig, State.SENT, tenant=tenant)
    shorter = {"delivered": 7 * DAY}
    periods = RetentionPeriods(
        365 * DAY, {} if tenant else shorter, {"acme": shorter} if tenant else {}
    )
    assert sum(count.over for count in (await counts(rig, periods)).values()) == 1
    await run(rig, periods)
    assert list(await places(rig)) == [sent]


async def test_a_row_that_stays_is_not_locked(rig: LedgerRig) -> None:
    await put(rig, State.RETRYING, id=uuid4())
    await put(rig, State.SENT, id=uuid4(), tenant="long")
    await run(rig, RetentionPeriods(30 * DAY, {}, {"long": {"*": 365 * DAY}}))
    rows = await rig.fetch("SELECT xmax::text FROM notifications_default")
    assert rows == [{"xmax": "0"}, {"xmax": "0"}]


async def test_a_tenant_s_own_periods_count_for_what_is_its_own(rig: LedgerRig) -> None:
    """Both of a week that is dropped, and of one that is not."""
    periods = RetentionPeriods(
        30 * DAY, {"failed": 90 * DAY}, {"brief": {"*": DAY}, "long": {"*": 365 * DAY}}
    )
    recent = NOW - timedelta(days=max(2, NOW.weekday() + 1))
    await Partitions(rig.database).add_missing(recent.date())
    for tenant, state in (("brief", State.FAILED), (None, State.SENT)):
        await put(rig, state, tenant=tenant)
    await put(rig, State.SENT, recent, tenant="brief")
    kept = [
        await put(rig, State.SENT, tenant="long"),
        await put(rig, State.FAILED),
        await put(rig, State.SENT, recent),
        await put(rig, State.SENT, recent, tenant="long"),
    ]
    counted = await counts(rig, periods)
    assert sum(week.over for week in counted.values()) == 3
    done = await run(rig, periods)
    assert sorted(await places(rig)) == sorted(kept)
    assert [week.moved for week in done if week.moved] == [2]


async def test_a_tenant_s_closed_dead_letters_go_by_its_own_period(rig: LedgerRig) -> None:
    for tenant in ("brief", "acme", None):
        dead_letter = await make_dead_letter(rig, None, "discarded")
        await rig.execute(
            "UPDATE dead_letters SET tenant = $2, changed_at = now() - interval '10 days' WHERE id = $1",
            dead_letter,
            tenant,
        )
    await run(rig, RetentionPeriods(30 * DAY, {}, {"brief": {"*": DAY, "failed": 90 * DAY}}))
    left = await rig.fetch("SELECT tenant FROM dead_letters ORDER BY tenant")
    assert [row["tenant"] for row in left] == ["acme", None]


async def test_a_week_of_which_much_lives_on_stays_and_loses_what_is_over(
    rig: LedgerRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "MOST_MOVED", 1)
    await put(rig, State.SENT)
    kept = [await put(rig, State.RETRYING), await put(rig, State.QUEUED)]
    await run(rig, RetentionPeriods(30 * DAY))
    found = await places(rig)
    assert sorted(found) == sorted(kept)
    assert "notifications_default" not in found.values()
    await rig.put(attempt_of(id=id_at(LONG_AGO)), State.SENT)  # and is open for others again


async def test_a_week_of_which_much_lives_on_is_read_again_the_next_day(
    rig: LedgerRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "MOST_MOVED", 0)
    await put(rig, State.SENT, tenant="long")
    keeper = Retention(rig.database, RetentionPeriods(30 * DAY, {}, {"long": {"*": 365 * DAY}}))
    week = f"notifications{MONDAY:_%Y%m%d}"
    for days, reads in ((0, True), (0, False), (1, True)):
        steps = [step async for step in keeper.run(NOW.date() + timedelta(days=days))]
        assert (week in {step.partition for step in steps}) is reads


async def test_nothing_goes_where_all_is_kept_for_ever(rig: LedgerRig) -> None:
    ids = [await put(rig, State.SENT), await put(rig, State.SENT, id=uuid4())]
    await make_dead_letter(rig, None, "replayed")
    await run(rig, RetentionPeriods(0))
    assert sorted(await places(rig)) == sorted(ids)
    assert len(await rig.fetch("SELECT FROM dead_letters")) == 1


async def test_what_ended_or_was_discarded_today_stays_whatever_period_is_asked_for(
    rig: LedgerRig,
) -> None:
    ended, discarded = await put(rig, State.SENT), await put(rig, State.FAILED)
    await rig.execute("UPDATE notifications SET finished_at = now() WHERE id = $1", ended)
    dead_letter = await make_dead_letter(rig, discarded, "open")
    await Closings(rig.database).discard([dead_letter], "no use", actor="jane")
    await run(rig, RetentionPeriods(1))
    assert sorted(await places(rig)) == sorted([ended, discarded])


async def test_what_waits_to_be_published_again_stays_until_it_is(rig: LedgerRig) -> None:
    """Its dead letter never arrived: the row is the last copy."""
    pending = [await put(rig, State.FAILED), await put(rig, State.FAILED, id=uuid4())]
    await rig.execute("UPDATE notifications SET dispatch_at = now()")
    assert {count.over for count in (await counts(rig, RetentionPeriods(30 * DAY))).values()} == {0}
    await run(rig, RetentionPeriods(30 * DAY))
    assert sorted(await places(rig)) == sorted(pending)


async def test_what_is_being_archived_is_left_alone(rig: LedgerRig, database_url: str) -> None:
    archived = await put(rig, State.FAILED, id=uuid4())
    archive = await asyncpg.connect(database_url)
    try:
        await archive.execute("BEGIN")
        await archive.execute("SELECT FROM notifications WHERE id = $1 FOR NO KEY UPDATE", archived)
        await archive.execute(DEAD_LETTER, uuid4(), archived, "open", LONG_AGO)
        [row] = await rig.fetch(
            "SELECT deleted FROM tidings_delete_over('notifications_default', $1::jsonb, false, NULL, 1, NULL, NULL, 10)",
            RetentionPeriods(30 * DAY).json,
        )
        assert row["deleted"] == 0
        await archive.execute("COMMIT")
    finally:
        await archive.close()
    await run(rig, RetentionPeriods(30 * DAY))
    assert list(await places(rig)) == [archived]


@pytest.mark.parametrize(
    "statement",
    ["watch_partition($1)", "read_partition($1, $2::jsonb, 10)", "retire_partition($1, 10)"],
)
async def test_no_function_takes_a_week_that_has_not_ended(rig: LedgerRig, statement: str) -> None:
    monday = NOW.date() - timedelta(days=NOW.weekday())
    values = (monday, RetentionPeriods(1).json)[: statement.count("$")]
    with pytest.raises(LedgerUnavailable, match="no partition that has ended"):
        await rig.fetch(f"SELECT tidings_{statement}", *values)


@pytest.mark.parametrize(
    "statement",
    [
        "tidings_read_partition($1::date, '{}', 10)",
        "tidings_delete_over('notifications' || to_char($1::date, '_YYYYMMDD'), '{}', false, NULL, 1, NULL, NULL, 9)",
    ],
)
async def test_no_function_deletes_without_periods(rig: LedgerRig, statement: str) -> None:
    with pytest.raises(LedgerUnavailable, match="periods"):
        await rig.fetch(f"SELECT {statement}", MONDAY)


async def test_a_week_in_use_stays_open_and_goes_later(rig: LedgerRig, database_url: str) -> None:
    """A transaction that read one table, and is idle since, keeps the round waiting, and nobody else after it."""
    waiting = await put(rig, State.SCHEDULED)
    idle = await asyncpg.connect(database_url)
    await idle.execute("BEGIN; SELECT FROM attempts_default")
    try:
        with pytest.raises(LedgerUnavailable):
            await run(rig, RetentionPeriods(30 * DAY))
        [due] = await rig.outbox.take(10, actor="scheduler")
        assert due.id == waiting
        await rig.claimed(attempt_of(id=id_at(LONG_AGO)))
    finally:
        await idle.close()
    await run(rig, RetentionPeriods(30 * DAY))
    found = await rig.fetch(PLACES)
    assert {row["place"] for row in found} == {"notifications_default"}
    assert len(found) == 2


async def test_what_changes_while_a_week_is_read_lives_on(
    rig: LedgerRig, database_url: str
) -> None:
    """Also what is changed by a transaction that the lock has to wait for, and gets a dead letter by it."""
    await put(rig, State.FAILED)
    replayed, archived = await put(rig, State.FAILED), await put(rig, State.FAILED)
    await watch(rig)
    assert await read(rig, most=10)
    other = await asyncpg.connect(database_url)
    try:
        await other.execute("BEGIN")
        await other.execute("SELECT FROM notifications WHERE id = $1 FOR NO KEY UPDATE", archived)
        await other.execute(DEAD_LETTER, uuid4(), archived, "open", LONG_AGO)
        await other.execute(
            "UPDATE notifications SET state = 'queued', finished_at = NULL WHERE id = $1", replayed
        )
        async with asyncio.TaskGroup() as group:
            retiring = group.create_task(retire(rig))
            await asyncio.sleep(0.5)
            assert not retiring.done()
            await other.execute("COMMIT")
    finally:
        await other.close()
    await run(rig, RetentionPeriods(30 * DAY))
    assert sorted(await places(rig)) == sorted([replayed, archived])


@pytest.mark.parametrize("done", range(8))
async def test_a_round_that_was_cut_off_is_finished_by_the_next(rig: LedgerRig, done: int) -> None:
    waiting = await put(rig, State.RETRYING)
    changed, _ = await put(rig, State.SENT), await put(rig, State.SENT)
    steps = [watch, read, read, retire, drop, drop, drop]
    for step in steps[:done]:
        await step(rig)
    if done < steps.index(retire):
        await rig.execute("UPDATE notifications SET finished_at = NULL WHERE id = $1", changed)
    await run(rig, RetentionPeriods(30 * DAY))
    assert sorted(await places(rig)) == sorted([waiting, *[changed] * (done < steps.index(retire))])
    assert not await rig.fetch(
        "SELECT FROM pg_class WHERE relname ~ $1", f"_{MONDAY:%Y%m%d}(_retired)?$"
    )
    assert not await rig.fetch("SELECT FROM retiring_weeks")


@pytest.mark.parametrize("at_once", [1, 2, 3, 6])
async def test_a_week_is_read_in_steps_and_none_that_lives_on_is_missed(
    rig: LedgerRig, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(ending, "READ_AT_ONCE", at_once)
    kept = []
    for state in (State.RETRYING, State.SENT, State.QUEUED, State.SENT, State.SENT, State.SENDING):
        id = await put(rig, state)
        kept += [] if state is State.SENT else [id]
    await run(rig, RetentionPeriods(30 * DAY))
    assert sorted(await places(rig)) == sorted(kept)


async def test_no_week_goes_before_all_of_it_was_read(rig: LedgerRig) -> None:
    ids = [await put(rig, State.RETRYING) for _ in range(3)]
    for step in (watch, read):
        await step(rig)
        with pytest.raises(LedgerUnavailable, match="not been read to its end"):
            await retire(rig)
    await watch(rig)  # from the beginning again: what was noted before is forgotten
    assert not await read(rig)
    assert await read(rig)
    with pytest.raises(LedgerUnavailable, match="was read already"):
        await read(rig)
    assert sorted(await places(rig)) == sorted(ids)


async def test_only_what_was_retired_is_dropped(rig: LedgerRig) -> None:
    """Beside tables of others, partitioned too, and copies that a person made."""
    others = ["events_20240101", "notifications_20240101"]
    await rig.execute(
        "CREATE TABLE events (id uuid) PARTITION BY RANGE (id);"
        "CREATE TABLE events_default PARTITION OF events DEFAULT;"
        + "".join(f"CREATE TABLE {name} (id uuid);" for name in others)
    )
    await run(rig, RetentionPeriods(30 * DAY))
    await Partitions(rig.database).add_missing(NOW.date() + timedelta(weeks=4))
    left = await rig.fetch("SELECT relname FROM pg_class WHERE relname = ANY($1)", others)
    assert len(left) == 2
    assert not await rig.fetch(
        "SELECT FROM pg_class WHERE relname LIKE 'events_2%' AND relispartition"
    )


async def test_a_partition_of_many_weeks_loses_row_by_row_what_is_over(rig: LedgerRig) -> None:
    """As where the retention was made shorter."""
    since = NOW.date() - timedelta(weeks=26)
    for table in ("notifications", "attempts", "transitions"):
        await rig.fetch("SELECT tidings_add_partition($1, $2, $3)", table, since, MONDAY)
    gone = await put(rig, State.SENT, NOW - timedelta(weeks=20))
    unfinished = await put(rig, State.RETRYING, NOW - timedelta(weeks=20))
    name = f"notifications_{since:%Y%m%d}"
    periods = RetentionPeriods(12 * 7 * DAY)
    counted = (await counts(rig, periods))[name]
    assert RetentionStep(name, 1) in await run(rig, periods)
    assert (counted.stored, counted.over) == (2, 1)
    assert list(await places(rig)) == [unfinished]
    assert gone


async def test_a_closed_dead_letter_stays_for_as_long_as_it_would_be_missed(rig: LedgerRig) -> None:
    for days in (7, 9):
        dead_letter = await make_dead_letter(rig, None, "discarded")
        await rig.execute(
            "UPDATE dead_letters SET changed_at = now() - $2 * interval '1 day' WHERE id = $1",
            dead_letter,
            days,
        )
    await run(rig, RetentionPeriods(DAY))
    assert len(await rig.fetch("SELECT FROM dead_letters")) == 1


async def test_keys_and_workers_that_are_gone_are_forgotten(rig: LedgerRig) -> None:
    await rig.execute(
        "INSERT INTO idempotency_holders VALUES ('old', '', $1, now() - interval '2 days'), ('new', '', $1, now())",
        uuid4(),
    )
    await rig.execute(
        "INSERT INTO circuits SELECT 'email', 'p', w, 'open', '', now(), NULL, now() - a * interval '1 day'"
        " FROM (VALUES ('old', 2), ('new', 0)) AS v (w, a)"
    )
    await rig.execute(
        "INSERT INTO api_requests VALUES ('k', 'old', '', '', now() - interval '2 days'), ('k', 'new', '', '', now())"
    )
    await run(rig, RetentionPeriods(0))
    assert await rig.fetch("SELECT idempotency_key FROM api_requests") == [
        {"idempotency_key": "new"}
    ]
    assert await rig.fetch("SELECT key FROM idempotency_holders") == [{"key": "new"}]
    assert await rig.fetch("SELECT worker FROM circuits") == [{"worker": "new"}]


@pytest.mark.parametrize(
    ("table", "expired"),
    [
        (
            "api_requests",
            "INSERT INTO api_requests SELECT 'k', n::text, '', '', now() - interval '2 days' FROM generate_series(1, 1500) AS n",
        ),
        (
            "outbox_entries",
            "INSERT INTO outbox_entries (notification_id, tenant, channel, reason, entered_at)"
            " SELECT gen_random_uuid(), 'default', 'email', '', now() - interval '8 days' FROM generate_series(1, 1500)",
        ),
    ],
)
async def test_one_round_deletes_all_that_has_expired(
    rig: LedgerRig, table: str, expired: str
) -> None:
    await rig.execute(expired)
    steps = await run(rig, RetentionPeriods(0))
    assert await rig.fetch(f"SELECT FROM {table}") == []
    assert steps[-1].deleted == 1_500
