"""No page and no bulk action of the console reads a table that grows from end to end."""

import re
from collections.abc import AsyncIterator, Iterator
from html import unescape
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio
from tests.conftest import fresh_database
from tests.support.apart import run_apart
from tests.support.console_rig import ConsoleRig, Person, console_serving
from tests.support.console_things import address
from tests.support.dead_letter_rig import written
from tests.support.statement_plans import Found, SentStatements, read_whole
from tests.support.virtual_hosts import VirtualHosts
from tests.support.worker_rig import eventually

from tidings.console.pages import pages
from tidings.ledger.jobs import snapshots
from tidings.operations.jobs.hosting import JobHost
from tidings.runtime.background import BackgroundTask
from tidings.settings import Settings

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROWS = 12_000
FILL = """
INSERT INTO notifications (id, channel, priority, category, recipient, user_id, entity_type, entity_id, state, epoch, attempt, body,
                           accepted_at, finished_at, reason, failure_kind, failure_code, dispatch_at, scheduled_at)
SELECT id, 'email', 'normal', 'receipt', 'user-' || n || '@example.com', 'user-' || n, 'order', n,
       CASE n % 3 WHEN 0 THEN 'failed' WHEN 1 THEN 'sent' ELSE 'scheduled' END, 0, 1,
       convert_to(replace('BODY', 'ID', id::text), 'UTF8'), now() - n * interval '5 minutes', CASE WHEN n % 3 < 2 THEN now() END,
       CASE n % 3 WHEN 0 THEN 'rejected' END, CASE n % 3 WHEN 0 THEN 'rejected' END, CASE n % 3 WHEN 0 THEN '550' END,
       CASE n % 3 WHEN 2 THEN now() + n * interval '1 minute' END, CASE n % 3 WHEN 2 THEN now() + n * interval '1 minute' END
  FROM (SELECT n, gen_random_uuid() AS id FROM generate_series(1, 12000) AS n) AS numbered;
INSERT INTO attempts (notification_id, epoch, attempt, started_at, duration_ms, state, worker, provider, code, message)
SELECT id, 0, 1, accepted_at, 12, 'sent', 'worker', 'smtp', '250', '' FROM notifications;
INSERT INTO provider_attempts (notification_id, epoch, attempt, position, provider, kind, code, duration_ms)
SELECT id, 0, 1, 1, 'smtp', 'rejected', '550', 12 FROM notifications;
INSERT INTO recipient_results (notification_id, epoch, attempt, address, role, state, kind, code, message)
SELECT id, 0, 1, 'copy@example.com', 'cc', 'sent', '', '250', '' FROM notifications;
INSERT INTO transitions (notification_id, epoch, before, after, actor, reason)
SELECT id, 0, 'queued', 'cancelled', 'somebody', '' FROM notifications;
INSERT INTO dead_letters (id, notification_id, reason, kind, code, message, fingerprint, channel, priority, category, tenant, recipient, user_id,
                          attempts, first_failed_at, last_failed_at, dead_lettered_at, exchange, routing_key, content_type, body)
SELECT gen_random_uuid(), id, 'rejected', 'rejected', '550', 'no such mailbox', md5((ascii(id::text) % 16)::text), 'email', 'normal', 'receipt',
       'default', recipient, user_id, 1, now(), now(), accepted_at, 'tidings.notifications', 'email.normal', 'application/json', body
  FROM notifications WHERE state = 'failed';
INSERT INTO dead_letters (id, notification_id, reason, kind, message, fingerprint, channel, first_failed_at, last_failed_at, dead_lettered_at, body,
                          state)
SELECT gen_random_uuid(), gen_random_uuid(), 'rejected', 'rejected', '', 'old', 'email', now(), now(), now() - n * interval '1 hour', '', 'discarded'
  FROM generate_series(1, 8000) AS n;
INSERT INTO dead_letter_hours (hour, tenant, channel, reason, fingerprint, open, arrived)
SELECT date_trunc('hour', now()) - n * interval '1 hour', 'default', 'email', 'rejected', md5(f::text), 0, 5
  FROM generate_series(30, 700) AS n, generate_series(1, 20) AS f;
INSERT INTO dead_letter_minutes (minute, tenant, channel, category, reason, fingerprint, arrived)
SELECT date_trunc('minute', now()) - n * interval '1 minute', 'default', 'email', 'receipt', 'rejected', md5(f::text), 5
  FROM generate_series(30, 2000) AS n, generate_series(1, 5) AS f;
INSERT INTO dead_letter_categories (category, hour, tenant, channel, reason, fingerprint, open, arrived)
SELECT 'category ' || c, date_trunc('hour', now()) - n * interval '1 hour', 'default', 'email', 'rejected', md5(f::text), 0, 5
  FROM generate_series(30, 700) AS n, generate_series(1, 5) AS f, generate_series(1, 5) AS c;
INSERT INTO outcome_rollups (width, since, tenant, channel, category, outcome, provider, kind, bucket, count, attempts, first_attempts)
SELECT width, to_timestamp(floor(extract(epoch FROM now())::float8 / width) * width) - n * width * interval '1 second', 'default', 'email',
       'category ' || c, 'sent', 'smtp', '', 10, 1, 1, 1
  FROM unnest(ARRAY[60, 900, 3600, 14400, 86400]) AS width, generate_series(0, 1500) AS n, generate_series(1, 4) AS c;
INSERT INTO channel_rollups
SELECT width, since, tenant, channel, false, outcome, sum(count), sum(attempts), sum(first_attempts) FROM outcome_rollups GROUP BY 1, 2, 3, 4, 5, 6;
INSERT INTO jobs (id, kind, selection, actor, changed_by, state, started_at, ended_at, seen_at, settled, items)
SELECT gen_random_uuid(), 'discard', '{}', 'jane', 'jane', 'finished', at, at, at, true, 2
  FROM (SELECT now() - n * interval '1 minute' AS at FROM generate_series(1, 30) AS n) AS ended;
INSERT INTO operator_actions (at, actor, action, note)
SELECT now() - n * interval '10 minutes', 'cli jane@desk', 'action ' || n % 20, 'because' FROM generate_series(1, 5000) AS n;
INSERT INTO job_items (job, position, item, result) SELECT id, place, gen_random_uuid(), 'discarded' FROM jobs, generate_series(1, 200) AS place;
INSERT INTO schedules (id, tenant, name, timezone, misfire, content, recipients, state, created_by)
SELECT gen_random_uuid(), 'default', 'schedule ' || n, 'UTC', 'skip', '{"channel": "email", "subject": "S", "body": "B"}',
       '["ada@example.com"]', 'active', 'jane'
  FROM generate_series(1, 3) AS n;
INSERT INTO outbox_entries (notification_id, tenant, channel, reason)
SELECT id, 'default', 'email', 'scheduled' FROM notifications WHERE state = 'scheduled';
INSERT INTO inbox_users (tenant, user_id, revision) SELECT 'default', 'user-' || n, 1 FROM generate_series(1, 5000) AS n;
INSERT INTO inbox_messages (tenant, user_id, id, position, revision, category, type, severity)
SELECT 'default', 'user-' || n, gen_random_uuid(), 1, 1, 'c', 't', 'info' FROM generate_series(1, 5000) AS n
"""

SMALL = {
    "alembic_version", "alert_rules", "alerts", "channel_orders", "circuits", "dispatching_orders", "processes", "queue_looks", "queue_depths",
    "sent_alerts", "retiring_changes", "retiring_weeks", "rollup_categories", "user_token_revocations",
    "api_keys", "console_sessions", "schedules", "jobs",  # what people make
    "dead_letter_group_notes", "dead_letter_group_owners", "open_dead_letters",  # a row for a group
    "dead_letter_deltas", "outcome_deltas",  # folded every five seconds
    "outbox_batches",  # a row for a batch that is being published
    "api_requests", "idempotency_holders", "idempotency_keys", "inbox_tickets",  # the console does not read them
}  # fmt: skip
"""Tables that stay small, or are read by nobody here."""
ROWS_OF = """
SELECT c.relname, coalesce(sum(p.reltuples), c.reltuples) AS rows FROM pg_class c
  LEFT JOIN pg_inherits i ON i.inhparent = c.oid LEFT JOIN pg_class p ON p.oid = i.inhrelid
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition GROUP BY c.oid, c.relname
"""
LARGE = 1_000
WEEK = re.compile(r"_\d{8}$")
FEW = re.compile(r"dispatch_at|_test$|_replaying$")
"""Indexes of what waits for its time, of tests, and of what is being replayed: all of them is what is asked for."""
INDEXES = ("dead_letters_notification_id", "outbox_entries_entered_at", "operator_actions_by_time")
"""Some without which lists would be read whole."""
EXAMPLE = """
SELECT d.id::text AS dead_letter, d.notification_id::text AS notification, d.fingerprint, (SELECT id::text FROM jobs LIMIT 1) AS job,
       (SELECT id::text FROM schedules LIMIT 1) AS schedule, (SELECT id::text FROM console_sessions LIMIT 1) AS session,
       (SELECT prefix FROM api_keys LIMIT 1) AS key
  FROM dead_letters d WHERE state = 'open' LIMIT 1
"""
LINK = re.compile(r'<a [^>]*href="/console([^"#]*)')
SUGGESTION = re.compile(r'<option value="(\w+):([^"]*)"')
NAMES = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{32}|tk_\w+")
"""What names one thing of many in an address."""


@pytest.fixture(scope="module")
def console_database_url(postgresql_url: str, migrated_template: str) -> Iterator[str]:
    """Rows in each table that grows, and statistics of them."""

    async def fill(url: str) -> None:
        connection = await asyncpg.connect(url)
        body = written(UUID(int=0)).decode().replace(str(UUID(int=0)), "ID")
        await connection.execute(FILL.replace("BODY", body))
        await connection.execute("SELECT tidings_fold_rollups(1000000, 200)")
        await connection.execute("VACUUM ANALYZE")
        rows = {row["relname"]: row["rows"] for row in await connection.fetch(ROWS_OF)}
        await connection.close()
        assert {name for name, count in rows.items() if count < LARGE} == SMALL

    with fresh_database(postgresql_url, template=migrated_template) as url:
        run_apart(fill(url))
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def console(
    console_settings: Settings, virtual_hosts: VirtualHosts, sent: SentStatements
) -> AsyncIterator[ConsoleRig]:
    """The console, with a RabbitMQ to replay to; what it sends to PostgreSQL is kept."""
    with virtual_hosts.lent() as vhost, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIDINGS_AMQP_URL", virtual_hosts.url(vhost))
        sent.record(patch)
        async with console_serving(Settings().check()) as rig:
            yield rig


@pytest.fixture(scope="module")
def sent() -> SentStatements:
    """All of them."""
    return SentStatements()


async def test_no_page_and_no_bulk_action_reads_a_growing_table_whole(
    console: ConsoleRig,
    sent: SentStatements,
    console_database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(snapshots, "STEP", 100)
    person = await console.person()
    [row] = await console.api.fetch(EXAMPLE)
    ids = {
        "/notifications/": row["notification"],
        "/failures/dead-letters/": row["dead_letter"],
        "/failures/": row["fingerprint"],
        "/jobs/": row["job"],
        "/schedules/": row["schedule"],
        "/sessions/": row["session"],
        "/keys/": row["key"],
    }
    sent.found.clear()
    walked = await _walk(person, [address(page, ids) for page in pages() if page.method == "GET"])
    assert walked > 100
    await _act(console, person, row["fingerprint"], row["dead_letter"])
    assert len(sent.found) > 200
    found = dict(sent.found)  # the console goes on meanwhile
    connection = await asyncpg.connect(console_database_url)
    try:
        faults = await _faults(connection, found)
        missed = [index for index in INDEXES if not await _faults_without(connection, found, index)]
    finally:
        await connection.close()
    assert not faults, "\n\n".join(faults)
    assert not missed, "nothing was said of an index that is missing"


async def _faults_without(
    connection: "asyncpg.Connection[asyncpg.Record]", found: Found, index: str
) -> list[str]:
    dropping = connection.transaction()
    await dropping.start()
    await connection.execute(f"DROP INDEX {index}")
    faults = await _faults(connection, found)
    await dropping.rollback()
    return faults


async def _faults(connection: "asyncpg.Connection[asyncpg.Record]", found: Found) -> list[str]:
    """The statements that would read a table that grows, with how, and their values."""
    return [
        f"{sorted(whole)}\n{statement}\n{values}"
        for (statement, _), values in found.items()
        if (whole := _growing(await read_whole(connection, statement, values)))
    ]


async def _walk(person: Person, addresses: list[str]) -> int:
    """Follow every link and every suggested filter, once for each kind; how many pages there were."""
    walked = set[tuple[str, ...]]()
    while addresses:
        path, _, query = unescape(addresses.pop()).partition("?")
        names = sorted(
            part if part.startswith("range=") else part.partition("=")[0]
            for part in query.split("&")
        )
        kind = (NAMES.sub("*", path), *names)
        if kind in walked or len(names) > 2:
            continue
        walked.add(kind)
        shown = await person.get(f"{path}?{query}" if query else path)
        assert shown.status in {200, 400, 404, 422, 503}, (path, query, shown.text[:300])
        addresses += LINK.findall(shown.html)
        addresses += [
            f"{path}?{name}={value or 'user-7'}" for name, value in SUGGESTION.findall(shown.html)
        ]
    return len(walked)


async def _act(console: ConsoleRig, person: Person, fingerprint: str, dead_letter: str) -> None:
    """Choose everything, and a group, and one; replay and discard."""
    await _job(person, "/failures/bulk", which="all", do="replay")
    await _job(person, "/failures/bulk", which="all", do="discard", note="all of them")
    of_group = f"/failures/{fingerprint}/bulk"
    some = [
        await _job(person, of_group, which="all", do="replay"),
        await _job(person, of_group, dead_letter=[dead_letter], do="discard", note="one"),
        await _job(
            person,
            of_group,
            dead_letter=[dead_letter],
            do="edit",
            note="two",
            field="subject",
            value="Hello again",
        ),
    ]
    for job in some:
        await person.send(f"{job}/start")
    await console.api.execute("UPDATE jobs SET starts_at = now() WHERE state = 'running'")
    host = BackgroundTask("run jobs", JobHost(console.api.backend).run_for_ever)

    async def done() -> bool:
        found = await console.api.fetch(
            "SELECT EXISTS (SELECT FROM job_items WHERE result IS NULL AND job = ANY($1::text[]::uuid[])) AS waits",
            [job.rpartition("/")[2] for job in some],
        )
        return not found[0]["waits"]

    await eventually(done, within=20)
    for job in some:
        await person.get(job)
    await host.end()


async def _job(person: Person, path: str, **fields: object) -> str:
    """A job that waits to be started; its address."""
    made = await person.send(path, fields)
    assert "/jobs/" in made.path, made.text[-3000:]
    address = made.path.removeprefix("/console")

    async def chosen() -> bool:
        return f"{address}/start" in (await person.get(address)).html

    await eventually(chosen, within=20)
    return address


def _growing(read: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of tables that grow; of notifications, not the partitions of weeks, which are empty here."""
    whole = {(name.removesuffix("_default"), how) for name, how in read}
    return {
        (name, how)
        for name, how in whole
        if not (name in SMALL or WEEK.search(name) or FEW.search(how))
    }
