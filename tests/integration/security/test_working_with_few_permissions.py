"""Every role does its work as a user that may do no more than docs/operations.md grants it."""

import re
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast
from urllib.parse import quote, urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest
from aio_pika.abc import AbstractChannel
from tests.conftest import execute
from tests.doubles.channel import ScriptedChannel
from tests.support.attempts import attempt_of
from tests.support.dead_letter_rig import DeadLetterRig
from tests.support.ids import id_at
from tests.support.inbox_rig import Heard
from tests.support.ledger_rig import HOLDER, LedgerRig, record_of, request_of, settings_of
from tests.support.worker_rig import eventually

from tidings.broker.connection import BrokerConnection
from tidings.broker.inbox_hints import InboxHintConsumer, InboxHintPublisher
from tidings.broker.publisher import BrokerPublisher
from tidings.broker.topology.declaration import declare
from tidings.broker.topology.layout import DEAD, Topology, topology_of
from tidings.broker.wire.session import connected
from tidings.delivery.errors import BrokerUnavailable, ConfigurationError, Rejected, Unavailable
from tidings.delivery.inbox import InboxChange
from tidings.delivery.outcome import Claimed, Sent
from tidings.delivery.ports import SendRequest, Verdict
from tidings.delivery.states import State
from tidings.ledger import PostgresLedger
from tidings.ledger.database import PostgresDatabase
from tidings.ledger.diagnosis import diagnose
from tidings.ledger.partitions import Partitions
from tidings.ledger.retention import Retention, RetentionPeriods
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.dead_letters.plan import Plan
from tidings.operations.erasure import EraseRequest, erase
from tidings.settings import Settings
from tidings_events import EmailNotification, Producer
from tidings_events.routing import EXCHANGE
from tidings_local.management import Management

OPERATIONS = (Path(__file__).parents[3] / "docs/operations.md").read_text("utf-8")
PERMISSIONS: list[tuple[str, str, str, str]] = re.findall(
    r"^rabbitmqctl set_permissions -p / (\w+) +(?:\\\n +)?'(.+)' +'(.+)' +'(.+)'$",
    OPERATIONS,
    re.MULTILINE,
)
GRANTS = re.findall(r"^GRANT .+ app;$", OPERATIONS, re.MULTILINE)
TO_A_SCHEDULER = re.findall(r"^GRANT EXECUTE .+ scheduler;$", OPERATIONS, re.MULTILINE)

SettingsFor = Callable[[str], Settings]


@pytest.fixture
async def users(management: Management) -> AsyncIterator[Mapping[str, str]]:
    """A user of RabbitMQ for each in the document, with its permissions there."""
    names = {name: f"{name}-{secrets.token_hex(4)}" for name, *_ in PERMISSIONS}
    for name, configure, write, read in PERMISSIONS:
        await management.create_user(names[name], "secret")
        await management.allow(names[name], configure, write, read)
    yield names
    for name in names.values():
        await management.call("DELETE", f"users/{name}")


@pytest.fixture
async def app_url(database_url: str) -> AsyncIterator[str]:
    """A database that its owner has migrated, for a role with the privileges in the document."""
    role = f"app_{secrets.token_hex(4)}"
    await execute(database_url, f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
    for grant in GRANTS:
        await execute(database_url, grant.replace(" app;", f" {role};"))
    parts = urlsplit(database_url)
    yield urlunsplit(parts._replace(netloc=f"{role}:secret@{parts.netloc.rpartition('@')[2]}"))
    await execute(database_url, f"DROP OWNED BY {role}")
    await execute(database_url, f"DROP ROLE {role}")


@pytest.fixture
def settings_for(
    users: Mapping[str, str],
    broker_url: str,
    app_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> SettingsFor:
    """The settings of a role: its own user of RabbitMQ, the one role of PostgreSQL."""
    monkeypatch.setenv("TIDINGS_DATABASE_URL", app_url)
    monkeypatch.setenv("TIDINGS_EMAIL_RETRY", "1s")
    monkeypatch.setenv("TIDINGS_CATEGORIES", "{}")
    parts = urlsplit(broker_url)
    host = parts.netloc.rpartition("@")[2]

    def make(role: str) -> Settings:
        url = urlunsplit(parts._replace(netloc=f"{quote(users[role])}:secret@{host}"))
        monkeypatch.setenv("TIDINGS_AMQP_URL", url)
        settings = Settings()
        assert settings.broker.urls == (url,)
        return settings

    return make


async def apply(settings: Settings) -> Topology:
    """Like `tidings topology apply`."""
    wanted = topology_of(settings)
    async with connected(settings.broker, "apply") as connection:
        await declare(connection, wanted, settings.broker.amqp_timeout)
    return wanted


def rig_of(settings: Settings, tmp_path: Path) -> DeadLetterRig:
    """A rig that publishes nothing by itself."""
    settings.check()
    return DeadLetterRig(settings, tmp_path, cast(AbstractChannel, None))


def email(subject: str, **fields: object) -> EmailNotification:
    body = {"recipient": "ada@example.com", "subject": subject, "body": "x", **fields}
    return EmailNotification.model_validate(body)


def script(request: SendRequest, before: int) -> Exception | None:
    """A relay that knows one address only after it was asked twice, and another only after a replay."""
    match request.content.subject:
        case "retried" if not before:
            return Unavailable("not now")
        case "replayed" if not request.attempt.epoch:
            return Rejected("no such user")
        case _:
            return None


async def test_every_role_works_with_what_the_document_grants_it(
    settings_for: SettingsFor, tmp_path: Path
) -> None:
    assert {name for name, *_ in PERMISSIONS} == {
        "tidings",
        "shop",
        "worker",
        "scheduler",
        "archive",
        "api",
    }
    await apply(settings_for("tidings"))
    working, archiving, scheduling, replaying = (
        rig_of(settings_for(role), tmp_path) for role in ("worker", "archive", "scheduler", "shop")
    )
    soon = datetime.now(UTC) + timedelta(seconds=1)
    notifications = [
        email("plain"),
        email("retried"),
        email("replayed"),
        email("scheduled", scheduled_at=soon),
        email("keyed", idempotency_key="once"),
    ]
    channel = ScriptedChannel(script=script)
    async with AsyncExitStack() as stack:
        for rig in (working, archiving, scheduling, replaying):
            await stack.enter_async_context(rig)
        await stack.enter_async_context(working.working(channel))
        await stack.enter_async_context(archiving.archiving())
        await stack.enter_async_context(scheduling.scheduling())
        async with Producer(replaying.settings.broker.urls) as producer:
            await producer.publish_many(notifications)
        await archiving.dead_letters(1)
        summary = await replaying.replay(plan=Plan(watch=10))
        assert summary.well
        for notification in notifications:
            await working.reaches(notification.id, "sent")
    found = await diagnose(working.settings.ledger)
    assert [finding for finding in found if finding.verdict is Verdict.FAULT] == []


async def test_changes_of_inboxes_are_announced_and_heard_with_what_was_granted(
    settings_for: SettingsFor,
) -> None:
    await apply(settings_for("tidings"))
    heard = Heard()
    change = InboxChange("default", "ada", 1)
    async with InboxHintConsumer(settings_for("api").broker, "api", heard) as consumer:
        await eventually(lambda: consumer.hears)
        for role in ("worker", "scheduler", "api"):
            heard.changes.clear()
            async with InboxHintPublisher(settings_for(role).broker, role) as hints:
                hints.announce([change])
                await eventually(lambda: heard.changes == [change])


async def test_a_scheduler_finds_what_was_lost_with_what_it_was_granted(
    settings_for: SettingsFor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDINGS_REQUEUE_AFTER", "3s")
    await apply(settings_for("tidings"))
    working, scheduling = (rig_of(settings_for(role), tmp_path) for role in ("worker", "scheduler"))
    lost = email("lost")
    async with working, working.working(ScriptedChannel()):
        async with Producer(settings_for("shop").broker.urls) as producer:
            await producer.publish(lost)
        await working.reaches(lost.id, "sent")
        await working.fetch(
            "UPDATE notifications SET state = 'queued', epoch = 1, attempt = 0, updated_at = now(), finished_at = NULL"
        )
        async with scheduling.scheduling():
            await working.reaches(lost.id, "sent", within=20)


async def test_a_role_says_what_is_missing_where_it_may_not_make_it(
    settings_for: SettingsFor,
) -> None:
    settings = settings_for("worker")
    async with BrokerConnection(
        settings.broker, "worker", topology=topology_of(settings)
    ) as connection:
        with pytest.raises(BrokerUnavailable, match=r"tidings\.\w+ is missing.*apply"):
            await connection.get(timeout=1)


async def test_nobody_may_publish_where_it_has_no_business(settings_for: SettingsFor) -> None:
    await apply(settings_for("tidings"))
    for role, exchange in (("worker", EXCHANGE), ("archive", EXCHANGE), ("shop", DEAD)):
        settings = settings_for(role)
        async with BrokerConnection(settings.broker, role) as connection:
            publisher = BrokerPublisher(settings.broker, connection)
            with pytest.raises(BrokerUnavailable, match=r"access to exchange .* refused"):
                await publisher.publish(exchange, "email.high", b"{}", {})


async def test_the_role_of_the_database_may_neither_define_nor_delete_nor_rewrite_history(
    app_url: str,
) -> None:
    for statement in (
        "CREATE TABLE mine (id int)",
        "ALTER TABLE notifications ADD COLUMN mine int",
        "DROP TABLE attempts",
        "TRUNCATE notifications",
        "DELETE FROM notifications",
        "UPDATE transitions SET reason = ''",
        "UPDATE attempts SET state = 'sent'",
        "UPDATE attempts_default SET state = 'sent'",
        "SELECT tidings_add_partition('notifications', '2001-01-01', '2001-01-08')",
        "UPDATE alembic_version SET version_num = '9999'",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await execute(app_url, statement)


async def test_a_worker_lets_go_of_a_key_that_other_content_would_have_held(app_url: str) -> None:
    id = uuid4()
    async with PostgresDatabase(settings_of(app_url)) as database:
        rig = LedgerRig(database)
        for attempt in (attempt_of(id=id), attempt_of(id=id, idempotency_key="k")):
            await rig.claim(request_of(attempt))
        assert await rig.claim(request_of(attempt_of(idempotency_key="k"))) == [Claimed()]


async def test_a_person_is_erased_with_what_a_scheduler_was_granted_and_else_nothing_is(
    database_url: str, app_url: str
) -> None:
    attempt, request = attempt_of(), EraseRequest("ada@example.com", None, "request 118")
    async with PostgresLedger(settings_of(app_url), actor="test") as ledger:
        await LedgerRig(ledger.database).put(attempt, State.SENT)
        backend, actor = Backend(Settings(), ledger), Actor("cli", "jane@desk")
        with pytest.raises(ConfigurationError, match="permission denied for function"):
            await erase(backend, actor, request)
        for grant in TO_A_SCHEDULER:
            await execute(
                database_url, grant.replace(" scheduler;", f" {urlsplit(app_url).username};")
            )
        assert (await erase(backend, actor, request)).notifications == 1
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await execute(app_url, "UPDATE operator_actions SET actor = ''")


async def test_a_scheduler_makes_partitions_where_it_was_granted_to(
    database_url: str, app_url: str
) -> None:
    later = datetime.now(UTC).date() + timedelta(weeks=1)
    role = urlsplit(app_url).username
    async with PostgresDatabase(settings_of(app_url)) as database:
        with pytest.raises(ConfigurationError, match="permission denied for function"):
            await Partitions(database).add_missing(later)
        for grant in TO_A_SCHEDULER:
            await execute(database_url, grant.replace(" scheduler;", f" {role};"))
        assert await Partitions(database).add_missing(later)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await execute(app_url, "DELETE FROM notifications_default")


async def test_a_scheduler_retires_a_week_while_workers_change_it(
    database_url: str, app_url: str
) -> None:
    long_ago = datetime.now(UTC) - timedelta(weeks=10)
    monday = long_ago.date() - timedelta(days=long_ago.weekday())
    role = urlsplit(app_url).username
    for grant in TO_A_SCHEDULER:
        await execute(database_url, grant.replace(" scheduler;", f" {role};"))
    async with PostgresDatabase(settings_of(app_url)) as database:
        rig = LedgerRig(database)
        await Partitions(database).add_missing(monday)
        await rig.fetch("SELECT tidings_watch_partition($1)", monday)
        attempt = attempt_of(id=id_at(long_ago))
        await rig.claimed(attempt)
        retention = Retention(database, RetentionPeriods(30 * 86_400.0))
        [moved, *_] = [step.moved async for step in retention.run(datetime.now(UTC).date())]
        assert moved == 1
        assert await rig.records.record([record_of(attempt, HOLDER, Sent("smtp:relay", "x"))]) == [
            True
        ]
