"""No command reads a large ledger whole: of the rows there are, few are read, and what was left out is said."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import pytest
from tests.conftest import fresh_database
from tests.support.apart import run_apart
from tests.support.ledger_rig import settings_of

from tidings.delivery.errors import Refused
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.outcome import Reason
from tidings.delivery.states import State
from tidings.ledger import steps
from tidings.ledger.database import Database, PostgresDatabase
from tidings.ledger.dead_letters.search import DeadLetterFilter
from tidings.ledger.ledger import PostgresLedger
from tidings.ledger.notifications import id_search, requeue
from tidings.ledger.notifications.filters import Filters
from tidings.ledger.notifications.requeue import Requeues, StrandedPage
from tidings.ledger.notifications.search import Bounds, conditions
from tidings.ledger.operators import audit
from tidings.ledger.operators.audit import LedgerAudit, LedgerFindings
from tidings.ledger.operators.backlog import count_backlog
from tidings.ledger.operators.reports import Reports
from tidings.ledger.operators.rollups import Window
from tidings.ledger.operators.statistics import DETAILED, DETAILED_OF_SOME, OF_CHANNELS, STATISTICS
from tidings.ledger.operators.test_data import OF_NOTIFICATION
from tidings.ledger.positions import Position
from tidings.ledger.steps import TimeLimit
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.dead_letters import edits
from tidings.operations.dead_letters.dry_run import dry_run
from tidings.operations.dead_letters.edits import EditRequest
from tidings.operations.dead_letters.field_changes import FieldChange
from tidings.operations.dead_letters.pacing import FEW as FEW_DEAD_LETTERS
from tidings.settings import Settings

T = TypeVar("T")

ROWS = 12_000
STEP = 1_000
FEW = 4 * STEP
FILL = """
INSERT INTO notifications (id, channel, priority, category, recipient, user_id, entity_type, entity_id, state, epoch,
                           attempt, body, accepted_at, updated_at, finished_at, reason, failure_kind, lease_holder, lease_until)
SELECT (lpad(to_hex(n), 8, '0') || '-0000-4000-8000-' || lpad(to_hex(n), 12, 'ab'))::uuid, 'email', 'normal', 'welcome',
       CASE n % 2 WHEN 0 THEN 'everybody' ELSE 'user-' || n % 2000 END, 'u' || n % 2000, 'order', n % 2000, state,
       0, 1, '', now() - (12000 - n) * interval '1 minute', now() - interval '1 hour', CASE WHEN state NOT IN ('retrying', 'sending') THEN now() END,
       CASE WHEN state IN ('unknown', 'failed') THEN 'rejected' END, CASE WHEN state <> 'sent' THEN 'rejected' END,
       CASE state WHEN 'sending' THEN 'worker' END, CASE state WHEN 'sending' THEN now() END
  FROM (SELECT n, CASE n % 600 WHEN 1 THEN 'unknown' WHEN 2 THEN 'failed' WHEN 3 THEN 'retrying' ELSE 'sent' END AS state
          FROM generate_series(1, 12000) AS n) AS numbered;
INSERT INTO attempts (notification_id, epoch, attempt, started_at, duration_ms, state, worker)
SELECT id, 0, 1, accepted_at, 1, state, 'worker' FROM notifications;
INSERT INTO dead_letters (id, notification_id, reason, kind, message, fingerprint, channel, first_failed_at, last_failed_at, body)
SELECT gen_random_uuid(), gen_random_uuid(), 'rejected', 'rejected', '', n % 7, 'email', now(), now(), ''
  FROM generate_series(1, 3000) AS n;
INSERT INTO transitions (notification_id, epoch, before, after, actor, reason)
SELECT gen_random_uuid(), 0, 'queued', 'cancelled', 'somebody', '' FROM generate_series(1, 3000);
UPDATE dead_letters SET state = 'discarded' WHERE fingerprint <> '3';
"""
READ = """
SELECT kind AS relname, sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::int AS rows,
       sum(seq_scan + idx_scan)::int AS scans
  FROM pg_stat_user_tables
  JOIN unnest(ARRAY['notifications', 'attempts', 'dead_letters']) AS kind ON relname LIKE kind || '%'
 GROUP BY kind
"""
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def large(postgresql_url: str, migrated_template: str) -> Iterator[str]:
    """Twelve thousand notifications, one a minute; few of them fared badly."""

    async def fill(url: str) -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(FILL)
        await connection.execute("VACUUM ANALYZE")
        await connection.close()

    with fresh_database(postgresql_url, template=migrated_template) as url:
        run_apart(fill(url))
        yield url


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "STEP", STEP)
    monkeypatch.setattr(steps, "SCATTERED", STEP // 5)
    monkeypatch.setattr(audit, "STEP", STEP)
    monkeypatch.setattr(id_search, "AT_ONCE", STEP)


async def rows_read(url: str, work: Callable[[Database], Awaitable[T]]) -> tuple[T, dict[str, int]]:
    """What came of it, and how many rows PostgreSQL read of each table, as it counts when a session ends."""
    watching = await asyncpg.connect(url)

    async def counted() -> dict[str, asyncpg.Record]:
        return {row["relname"]: row for row in await watching.fetch(READ)}

    before = await counted()
    async with PostgresDatabase(settings_of(url)) as database:
        result = await work(database)
    async with asyncio.timeout(20):
        while (after := await counted()) == before:
            await asyncio.sleep(0.05)
    await watching.close()
    return result, {name: after[name]["rows"] - before[name]["rows"] for name in after}


def _named(parameter: object) -> str:
    """The same in every process that collects it: no time is in it."""
    if not isinstance(parameter, Filters):
        return str(parameter)
    given = [field.name for field in fields(Filters) if getattr(parameter, field.name)]
    return ", ".join(given) or "no filter"


def last(n: int) -> str:
    """The last group of the id of the nth notification."""
    digits = f"{n:x}"
    return ("ab" * 6)[: 12 - len(digits)] + digits


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (Filters(), 25),
        (Filters(channels=("email",)), 25),
        (Filters(states=(State.SENT,)), 25),
        (Filters(states=(State.UNKNOWN,)), 20),
        (Filters(states=(State.FAILED, State.RETRYING)), 25),
        (Filters(states=(State.UNKNOWN,), channels=("sms",)), 0),
        (Filters(states=(State.SCHEDULED,)), 0),
        (Filters(user_ids=("u7",)), 6),
        (Filters(user_ids=("nobody",)), 0),
        (Filters(entities=(("order", "7"),)), 6),
        (Filters(recipients=("user-7",)), 6),
        (Filters(tenant="unknown"), 0),
        (Filters(since=NOW - timedelta(hours=1), channels=("sms",)), 0),
    ],
    ids=_named,
)
async def test_a_list_reads_few_rows_and_finds_all_there_are(
    large: str, filters: Filters, found: int
) -> None:
    page, read = await rows_read(large, lambda it: Reports(it).list(filters, 25, bounds=Bounds(0)))
    assert (len(page.found), page.searched_since) == (found, None)
    assert read["notifications"] <= FEW


@pytest.mark.parametrize(
    "filters",
    [
        Filters(channels=("sms",)),
        Filters(categories=("rare",)),
        Filters(states=(State.QUEUED,)),
        Filters(states=(State.SENDING, State.FAILED), categories=("rare",)),
        Filters(entities=(("parcel", None),)),
        Filters(recipients=("everybody",), categories=("rare",)),
        Filters(recipients=("everybody",), states=(State.QUEUED,)),
    ],
    ids=_named,
)
async def test_a_list_that_no_index_leads_to_says_how_far_it_looked(
    large: str, filters: Filters
) -> None:
    page, read = await rows_read(large, lambda it: Reports(it).list(filters, 25, bounds=Bounds(0)))
    assert page.found == ()
    assert page.searched_since is not None
    assert read["notifications"] <= FEW


def _indexes(plan: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Each table of a plan, and by which index it is read; or how, where by none."""
    if "Index Name" in plan and "Relation Name" not in plan:  # the index of a bitmap scan
        yield "", plan["Index Name"]
    if "Relation Name" in plan:
        yield plan["Relation Name"], plan.get("Index Name", plan["Node Type"])
    for part in plan.get("Plans", ()):
        yield from _indexes(part)


@pytest.mark.parametrize(
    ("statement", "arguments", "read"),
    [
        (
            id_search.HAVING,
            (None, STEP, *IdPrefix.parse("fedcba987654").sought),
            {("notifications", "notifications_newest")},
        ),
        (
            audit.LOOK,
            (NOW - timedelta(hours=1), None),
            {
                ("notifications", "notifications_newest"),
                ("attempts", "attempts_pkey"),
                ("transitions", "transitions_pkey"),
            },
        ),
        (
            requeue.SELECT_NEWEST,
            (NOW - timedelta(hours=1), None, ["queued", "sending"], None, 900.0, 10, None),
            {
                ("notifications", "notifications_newest"),
                ("dead_letters", "dead_letters_notification_id"),
            },
        ),
        (
            requeue.SELECT_TROUBLED,
            (NOW - timedelta(days=1), None, ["retrying"], None, 900.0, 10, None),
            {
                ("notifications", "notifications_troubled"),
                ("dead_letters", "dead_letters_notification_id"),
            },
        ),
        (
            OF_NOTIFICATION,
            (UUID(int=1),),
            {
                ("notifications", "notifications_pkey"),
                ("dead_letters", "dead_letters_pkey"),
                ("dead_letters", "Bitmap Heap Scan"),
                ("", "dead_letters_notification_id"),
            },
        ),
    ],
    ids=["last digits", "audit", "requeue", "requeue what fared badly", "whether it is a test"],
)
async def test_a_statement_goes_by_its_index(
    large: str, statement: str, arguments: tuple[object, ...], read: set[tuple[str, str]]
) -> None:
    connection = await asyncpg.connect(large)
    [explained] = await connection.fetchrow(f"EXPLAIN (FORMAT JSON) {statement}", *arguments)
    await connection.close()
    [plan] = json.loads(explained)
    full = {  # the partitions of weeks are empty, and read otherwise
        (table.removesuffix("_default"), index.replace("_default", ""))
        for table, index in _indexes(plan["Plan"])
        if not re.search(r"_\d{8}", table + index)
    }
    assert full == read


ALONE: dict[str, Any] = {
    "channels": ("email", "sms"),
    "states": (State.SENT, State.QUEUED),
    "priorities": ("low",),
    "tenant": "acme",
    "categories": ("welcome",),
    "user_ids": ("u7",),
    "entities": (("order", "7"),),
    "recipients": ("user-7",),
    "templates": ("rare",),
    "providers": ("smtp:a",),
    "error_classes": ("rejected",),
    "subject": "rare",
    "since": NOW - timedelta(days=3),
    "until": NOW - timedelta(hours=3),
    "overdue": True,
    "test": True,
}
CHOICES = [
    Filters(),
    *(Filters(**{name: ALONE[name]}) for name in ALONE),
    *(
        Filters(**{name: ALONE[name], other: ALONE[other]})
        for name, other in combinations(ALONE, 2)
    ),
    Filters(states=(State.SCHEDULED,)),
    Filters(entities=(("order", "7"), ("order", None))),
]


async def test_no_filter_and_no_two_of_them_scan_a_partition(large: str) -> None:
    """Whatever is asked for, a page reads rows by an index, from where the last one ended."""
    connection = await asyncpg.connect(large)
    behind = Position(NOW - timedelta(hours=2), UUID(int=0))
    for filters in CHOICES:
        since = filters.since or NOW - timedelta(days=2)  # as a step has it
        where, values = conditions(filters, behind, since, filters.until)
        [explained] = await connection.fetchrow(
            f"EXPLAIN (FORMAT JSON) SELECT * FROM notifications n WHERE {where}"  # noqa: S608  # ours
            " ORDER BY accepted_at DESC, id DESC LIMIT 25",
            *values,
        )
        [plan] = json.loads(explained)
        read = {how for table, how in _indexes(plan["Plan"]) if table == "notifications_default"}
        assert "Seq Scan" not in read, (filters, read)
    await connection.close()


async def test_a_list_goes_on_step_by_step_while_there_is_time(large: str) -> None:
    async with PostgresDatabase(settings_of(large)) as database:
        rare = await Reports(database).list(Filters(states=(State.QUEUED,)), 25, bounds=Bounds(60))
        assert (rare.found, rare.searched_since) == ((), None)
        whole = await Reports(database).list(
            Filters(channels=("email",)), 10_000, bounds=Bounds(60)
        )
        assert len({summary.id for summary in whole.found}) == 10_000
        again = Filters(channels=("email",), until=whole.found[-1].accepted_at)
        assert (
            len((await Reports(database).list(again, 10_000, bounds=Bounds(60))).found)
            == ROWS - 10_000
        )


async def test_verifying_what_is_recent_reads_only_that(large: str) -> None:
    since = datetime.now(UTC) - timedelta(hours=1)  # `NOW` may be minutes older than the rows
    sound, read = await rows_read(large, lambda it: LedgerAudit(it).examine(since, 20.0))
    assert 50 < sum(sound.states.values()) < 70
    assert read["notifications"] < 70 * 40
    assert read["attempts"] < 70 * 20


async def test_verifying_everything_goes_step_by_step_and_finds_the_same(large: str) -> None:
    async with PostgresDatabase(settings_of(large)) as database:
        sound = await LedgerAudit(database).examine(NOW - timedelta(days=60), 20.0)
    assert sum(sound.states.values()) == ROWS
    assert sound.unarchived is not None
    assert sound.unarchived.count == sound.states[State.UNKNOWN] + sound.states[State.FAILED] == 40
    assert sound.waiting["email"].under_way == sound.states[State.RETRYING] == 20


async def test_verifying_for_a_moment_says_how_far_it_came(large: str) -> None:
    steps: list[tuple[int, datetime | None]] = []

    async def look(database: Database) -> LedgerFindings:
        return await LedgerAudit(database).examine(
            None, 20.0, patience=0, progress=lambda seen, since: steps.append((seen, since))
        )

    sound, read = await rows_read(large, look)
    assert sum(sound.states.values()) == STEP + 1
    assert sound.searched_since is not None
    assert steps == [(STEP + 1, sound.searched_since)]
    assert read["notifications"] <= FEW
    assert read["attempts"] <= FEW


@pytest.mark.parametrize("age", [5, 11_000], ids=["new", "old"])
async def test_the_last_digits_of_an_id_are_looked_for_among_the_newest(
    large: str, age: int
) -> None:
    n = ROWS - age
    digits = IdPrefix.parse(last(n))
    async with PostgresDatabase(settings_of(large)) as database:
        reports = Reports(database)
        everywhere = await reports.find(digits, patience=None)
        assert everywhere is not None
        assert str(everywhere).endswith(digits.text)
        if age < STEP:
            assert await reports.find(digits, patience=0) == everywhere
            return
        with pytest.raises(Refused, match="older ones were not searched"):
            await reports.find(digits, patience=0)


async def test_looking_for_last_digits_reads_no_rows(large: str) -> None:
    nobody = IdPrefix.parse("fedcba987654")

    async def look(database: Database) -> UUID | None:
        return await Reports(database).find(nobody, patience=None)

    found, read = await rows_read(large, look)
    assert found is None
    assert read["notifications"] <= FEW


async def test_few_digits_that_only_one_of_the_newest_has_are_not_enough(large: str) -> None:
    """Another one further back may have them too: it might be cancelled in its place."""
    few = IdPrefix.parse(last(ROWS - 5)[-8:])
    async with PostgresDatabase(settings_of(large)) as database:
        with pytest.raises(Refused, match=r"only .* has these digits"):
            await Reports(database).find(few, patience=0)
        assert await Reports(database).find(few, patience=None) is not None


@pytest.mark.parametrize(
    "states", [(State.QUEUED, State.RETRYING), (State.RETRYING,)], ids=["any", "troubled"]
)
async def test_what_waits_for_its_message_is_looked_for_among_the_newest(
    large: str, states: tuple[State, ...]
) -> None:
    def requeues(database: Database) -> Requeues:
        return Requeues(database, after=900.0)

    async def moment(database: Database) -> StrandedPage:
        return await requeues(database).select_newest(states, None, 60.0, 100, patience=0)

    some, read = await rows_read(large, moment)
    assert some.searched_since is not None or states == (State.RETRYING,)
    assert read["notifications"] <= FEW
    async with PostgresDatabase(settings_of(large)) as database:
        whole = await requeues(database).select_newest(states, None, 60.0, 100, patience=60)
        every = await requeues(database).select(states, None, 60.0, 100)
    assert whole.searched_since is None
    assert sorted(summary.id for summary in whole.found) == [summary.id for summary in every]
    assert set(some.found) <= set(whole.found)
    assert len(every) == 20


async def test_a_rehearsal_looks_at_some_dead_letters_and_says_at_how_many(
    large: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edits, "PATIENCE", 0)
    async with PostgresLedger(settings_of(large), actor="test") as ledger:
        chosen = (
            await ledger.dead_letters.search.select(DeadLetterFilter(fingerprint="3"))
        ).dead_letters
        some, every = [
            await dry_run(ledger, chosen, lambda _: None, force=False, clock=TimeLimit(patience))
            for patience in (0, None)
        ]
        request = EditRequest(chosen, FieldChange(("locale=de",)), dry_run=True)
        backend, actor = Backend(Settings(), ledger), Actor("test", "test")
        mended = await edits.edit(backend, actor, request, asyncio.Event())
    assert (some.checked, len(some.not_replayed)) == (FEW_DEAD_LETTERS, FEW_DEAD_LETTERS)
    assert (every.checked, len(every.not_replayed)) == (429, 429)
    assert (mended.cut_short, mended.left) == (True, 429 - FEW_DEAD_LETTERS)


@pytest.mark.parametrize(
    ("statement", "tables"),
    [
        (STATISTICS, {"outcome_rollups"}),
        (DETAILED, {"channel_rollups", "outcome_rollups"}),
        (DETAILED_OF_SOME, {"outcome_rollups"}),
        (OF_CHANNELS, {"outcome_rollups"}),
    ],
    ids=["sums", "details", "details of some", "channels"],
)
async def test_statistics_are_read_from_rollups_alone(
    large: str, statement: str, tables: set[str]
) -> None:
    window = Window.around(NOW - timedelta(days=60), NOW, NOW)
    period = (window.since, window.until, window.width)
    parts = [] if statement is STATISTICS else list(map(list, zip(*window.parts(), strict=True)))
    arguments = (*period, None, None, None, None, "test", False, *parts)
    if statement is OF_CHANNELS:
        arguments = (*period[:2], *parts, "test")
    connection = await asyncpg.connect(large)
    [explained] = await connection.fetchrow(f"EXPLAIN (FORMAT JSON) {statement}", *arguments)
    await connection.close()
    [plan] = json.loads(explained)
    assert {table for table, _ in _indexes(plan["Plan"]) if table} == {*tables, "outcome_deltas"}


async def test_open_dead_letters_are_counted_without_reading_them_nor_tests(large: str) -> None:
    add = """
    INSERT INTO dead_letters (id, reason, kind, message, fingerprint, channel, first_failed_at, last_failed_at,
                              dead_lettered_at, body, test)
    SELECT gen_random_uuid(), 'rejected', '', '', '3', 'email', now(), now(), now() - interval '9 days', '', true
      FROM generate_series(1, 500)
    """
    async with (
        PostgresDatabase(settings_of(large)) as database,
        database.connection() as connection,
    ):
        await connection.execute(add)
    try:
        now, read = await rows_read(large, count_backlog)
    finally:
        async with (
            PostgresDatabase(settings_of(large)) as database,
            database.connection() as connection,
        ):
            await connection.execute("DELETE FROM dead_letters WHERE test")
    assert sum(group.count for group in now.open.values()) == 429
    assert read["dead_letters"] <= 2


async def test_dead_letters_that_never_became_notifications_are_counted_without_the_others(
    large: str,
) -> None:
    add = """
    INSERT INTO dead_letters (id, notification_id, reason, kind, message, fingerprint, channel, first_failed_at,
                              last_failed_at, body, test)
    SELECT gen_random_uuid(), id, reason, '', '', '3', channel, now(), now(), '', test
      FROM (VALUES (NULL, 'malformed', NULL, false), (gen_random_uuid(), 'malformed', 'sms', false),
                   (gen_random_uuid(), 'unroutable', 'email', false), (gen_random_uuid(), 'malformed', 'sms', true),
                   ((SELECT id FROM notifications LIMIT 1), 'malformed', 'email', false)) AS new (id, reason, channel, test)
    """

    async def counted(database: Database) -> Mapping[Reason, int]:
        return await Reports(database).dead_letters_alone()

    async with (
        PostgresDatabase(settings_of(large)) as database,
        database.transaction() as connection,
    ):
        await connection.execute(add)
    try:
        found, read = await rows_read(large, counted)
    finally:
        async with (
            PostgresDatabase(settings_of(large)) as database,
            database.connection() as connection,
        ):
            await connection.execute("DELETE FROM dead_letters WHERE reason <> 'rejected'")
    assert found == {Reason.MALFORMED: 2, Reason.UNROUTABLE: 1}
    assert read["dead_letters"] <= 5
