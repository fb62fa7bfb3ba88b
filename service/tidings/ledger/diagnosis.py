"""What `tidings doctor` says of PostgreSQL: each finding with what to do about it."""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from tidings.delivery.errors import ConfigurationError, LedgerUnavailable
from tidings.delivery.ports import Finding, Verdict
from tidings.ledger.connecting import MixedSessions
from tidings.ledger.database import Connection, PostgresDatabase
from tidings.ledger.migrate import MigrationState, migration_state
from tidings.ledger.notifications.filters import OVERDUE
from tidings.ledger.partitions import WEEK, partitions, seconds_left
from tidings.settings import LedgerSettings

OLDEST: Final = 13
SKEW_NOTED: Final = 1.0
"""Seconds between PostgreSQL's clock and ours from which on times in the record confuse people."""
SKEW_HARMFUL: Final = 30.0
"""From which on scheduled notifications go out visibly early or late."""

SERVER: Final = """
SELECT current_setting('server_version') AS version,
       current_setting('server_version_num')::int / 10000 AS major,
       pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean AS read_only,
       current_setting('fsync')::boolean AS fsync,
       current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('max_connections')::int AS max_connections
"""
CLOCK: Final = "SELECT extract(epoch FROM clock_timestamp())::float8"
TABLES: Final = (
    "notifications",
    "dead_letters",
    "idempotency_holders",
    "api_requests",
    "outbox_entries",
    "alerts",
    "circuits",
    "recipient_results",
    "schedules",
    "jobs",
    "job_items",
    "inbox_users",
    "inbox_messages",
)
DELETED: Final = ("alert_rules", "sent_alerts", "outbox_batches")
"""Tables whose rows go when they have served."""
HISTORY: Final = (
    "attempts",
    "provider_attempts",
    "transitions",
    "channel_orders",
    "dispatching_orders",
    "operator_actions",
    "outcome_deltas",
)
"""Only ever added to."""
PRIVILEGES: Final = """
SELECT name FROM unnest($1::text[] || $2::text[] || $3::text[]) AS name
 WHERE to_regclass(name) IS NOT NULL
   AND NOT (has_table_privilege(name, 'SELECT') AND has_table_privilege(name, 'INSERT')
            AND (name = ANY($2) OR has_table_privilege(name, 'UPDATE'))
            AND (name <> ALL($3) OR has_table_privilege(name, 'DELETE')))
"""
WAITING: Final = """
SELECT count(*) FROM notifications WHERE dispatch_at < now() - $1 * interval '1 second'
"""

SCHEDULES: Final = """
SELECT (SELECT count(*) FROM schedules WHERE next_run_at < now() - $1 * interval '1 second') AS overdue,
       (SELECT count(*) FROM schedules WHERE state <> 'deleted' AND last_run ->> 'error' IS NOT NULL) AS failed,
       (SELECT actor FROM dispatching_orders ORDER BY id DESC LIMIT 1) AS actor,
       coalesce((SELECT paused FROM dispatching_orders ORDER BY id DESC LIMIT 1), false) AS paused
"""


async def diagnose(settings: LedgerSettings) -> Sequence[Finding]:
    """Everything about PostgreSQL."""
    try:
        state = await migration_state(settings.database_url.get_secret_value())
        async with (
            PostgresDatabase(settings, application="tidings doctor") as database,
            database.connection() as connection,
        ):
            return await _diagnose(connection, state)
    except LedgerUnavailable as error:
        remedy = (
            "start PostgreSQL, or set TIDINGS_DATABASE_URL; `make run` starts one on this machine"
        )
        return [Finding("PostgreSQL", Verdict.FAULT, str(error), remedy)]
    except MixedSessions as error:
        return [Finding("PostgreSQL", Verdict.FAULT, error.what, error.remedy)]
    except ConfigurationError as error:
        remedy = "check the user, the password and the database's name in TIDINGS_DATABASE_URL"
        return [Finding("PostgreSQL", Verdict.FAULT, str(error), remedy)]


async def _diagnose(connection: Connection, state: MigrationState) -> Sequence[Finding]:
    server = await connection.fetchrow(SERVER)
    findings = [*_server(dict(server or {})), _clock(await _skew(connection)), _migrations(state)]
    if state.ok:
        rows = await connection.fetch(PRIVILEGES, TABLES, HISTORY, DELETED)
        lacking = [row["name"] for row in rows]
        findings += _privileges(lacking)
        if not lacking:
            findings += _scheduler(await connection.fetchval(WAITING, OVERDUE))
            findings += _schedules(dict(await connection.fetchrow(SCHEDULES, OVERDUE) or {}))
            findings += _partitions(seconds_left(await partitions(connection), datetime.now(UTC)))
    return findings


def _server(server: Mapping[str, Any]) -> Iterator[Finding]:
    if server["major"] < OLDEST:
        yield Finding(
            "PostgreSQL",
            Verdict.FAULT,
            f"version {server['version']} is too old",
            f"upgrade to PostgreSQL {OLDEST} or newer",
        )
    elif server["read_only"]:
        yield Finding(
            "PostgreSQL",
            Verdict.FAULT,
            "it is a standby or read-only: nothing can be recorded",
            "point TIDINGS_DATABASE_URL at the primary; with several hosts add `target_session_attrs=read-write`",
        )
    else:
        yield Finding("PostgreSQL", Verdict.OK, f"connected, version {server['version']}")
    if not server["fsync"] or server["synchronous_commit"] == "off":
        yield Finding(
            "PostgreSQL: durability",
            Verdict.WARNING,
            "fsync or synchronous_commit is off: what was recorded is lost if its machine fails",
            "set both to `on`, except on a test machine",
        )


async def _skew(connection: Connection) -> float:
    """Seconds that PostgreSQL's clock is ahead of ours."""
    began = time.time()
    theirs: float = await connection.fetchval(CLOCK)
    return theirs - (began + time.time()) / 2


def _clock(skew: float) -> Finding:
    subject = "PostgreSQL: clock"
    ahead = "ahead of" if skew > 0 else "behind"
    if abs(skew) < SKEW_NOTED:
        return Finding(subject, Verdict.OK, f"{abs(skew) * 1000:.0f}ms {ahead} this host's")
    return Finding(
        subject,
        Verdict.FAULT if abs(skew) >= SKEW_HARMFUL else Verdict.WARNING,
        f"{abs(skew):.1f}s {ahead} this host's",
        "synchronise both machines by NTP",
    )


def _migrations(state: MigrationState) -> Finding:
    subject = "PostgreSQL: migrations"
    if state.ok:
        return Finding(subject, Verdict.OK, f"its tables are at version {state.current}")
    has = f"at version {state.current}" if state.current else "not there"
    return Finding(
        subject,
        Verdict.FAULT,
        f"its tables are {has}, and version {state.needed} is needed",
        "run `tidings migrate`",
    )


def _privileges(lacking: Sequence[str]) -> Iterator[Finding]:
    if lacking:
        yield Finding(
            "PostgreSQL: privileges",
            Verdict.FAULT,
            f"the database user may not read and write {', '.join(lacking)}",
            f"as the owner: {'; '.join(_grants(lacking))}",
        )


def _grants(lacking: Sequence[str]) -> Iterator[str]:
    kept = [name for name in lacking if name not in DELETED]
    for what, names in (
        ("SELECT, INSERT, UPDATE", kept),
        ("SELECT, INSERT, UPDATE, DELETE", [name for name in lacking if name in DELETED]),
    ):
        if names:
            yield f"GRANT {what} ON {', '.join(names)} TO its user"


def _scheduler(overdue: int) -> Iterator[Finding]:
    if overdue:
        yield Finding(
            "PostgreSQL: outbox",
            Verdict.WARNING,
            f"notifications due for more than {OVERDUE:.0f}s and not published: {overdue:,}",
            "start `tidings scheduler`; if one runs, its log gives the reason",
        )


def _schedules(found: Mapping[str, Any]) -> Iterator[Finding]:
    if found["paused"]:
        yield Finding(
            "Dispatching",
            Verdict.WARNING,
            f"it is paused by {found['actor']}: nothing that is due is published",
            "`tidings dispatching resume` resumes it",
        )
    if found["overdue"]:
        yield Finding(
            "Schedules",
            Verdict.WARNING,
            f"due for more than {OVERDUE:.0f}s and not run: {found['overdue']:,}",
            "start `tidings scheduler`; if one runs, its log gives the reason",
        )
    if found["failed"]:
        yield Finding(
            "Schedules",
            Verdict.WARNING,
            f"whose last run failed: {found['failed']:,}",
            "`tidings schedules list` gives the reason",
        )


def _partitions(left: float) -> Iterator[Finding]:
    if left < WEEK.total_seconds():
        yield Finding(
            "PostgreSQL: partitions",
            Verdict.WARNING,
            "the next week has no partition: its notifications go to the default partition, which is never dropped",
            "start `tidings scheduler`, and as the owner: GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO its user",
        )
