"""Whatever fails, no secret from the settings is told: not in logs, commands, metrics, or the ledger."""

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import aio_pika
import asyncpg
import pytest
from tests.conftest import execute
from tests.contract.channels.rigs.smtp_relay import Relay
from tests.support.forked import tidings
from tests.support.processes import running
from tests.support.worker_rig import eventually

from tidings_events.routing import EXCHANGE
from tidings_local.management import Management
from tidings_local.ports import free_port
from tidings_local.sinks.sms import SmsSink
from tidings_local.sinks.webhook import WebhookSink

MARKS = {
    name: f"{name}{secrets.token_hex(6)}"
    for name in (
        *("amqp", "management", "database", "smtp", "twilio", "apikey", "webhook", "alerting"),
        "userinfo",  # in the URL of a webhook, which a producer wrote
    )
}
SIGNING = base64.b64encode(MARKS["webhook"].encode() * 2).decode()
Env = dict[str, str]


def spellings() -> Iterator[bytes]:
    """Each secret as it is, and as it may look in a login or a column of bytes."""
    for mark in (*MARKS.values(), SIGNING):
        yield mark.encode()
        yield base64.b64encode(mark.encode())
        yield mark.encode().hex().encode()


def assert_tells_nothing(where: str, text: str) -> None:
    assert text, f"{where} says nothing at all: this proves nothing"
    found = [mark.decode() for mark in spellings() if mark in text.encode()]
    assert not found, f"{where} tells {found}: {text[:2000]}"


@pytest.fixture
async def broker_user(management: Management) -> AsyncIterator[str]:
    name = f"user-{secrets.token_hex(4)}"
    await management.create_user(name, MARKS["amqp"])
    await management.allow(name)
    yield name
    await management.call("DELETE", f"users/{name}")


@pytest.fixture
async def database_role(database_url: str) -> AsyncIterator[str]:
    name = f"role_{secrets.token_hex(4)}"
    await execute(database_url, f"CREATE ROLE {name} LOGIN PASSWORD '{MARKS['database']}'")
    await execute(
        database_url, f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO {name}"
    )
    yield name
    await execute(database_url, f"DROP OWNED BY {name}")
    await execute(database_url, f"DROP ROLE {name}")


def with_login(url: str, user: str, password: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(user)}:{password}@{host}"))


@pytest.fixture
def secret_env(
    env: Env, broker_user: str, database_role: str, broker_url: str, database_url: str
) -> Env:
    """Every secret there is, marked; the servers of the channels are the test's to add."""
    return {
        **env,
        "TIDINGS_AMQP_URL": with_login(broker_url, broker_user, MARKS["amqp"]),
        "TIDINGS_MANAGEMENT_URL": f"http://nobody:{MARKS['management']}@127.0.0.1:{free_port()}",
        "TIDINGS_DATABASE_URL": with_login(database_url, database_role, MARKS["database"]),
        "TIDINGS_EMAIL_USERNAME": "mailer",
        "TIDINGS_EMAIL_PASSWORD": MARKS["smtp"],
        "TIDINGS_TWILIO_AUTH_TOKEN": MARKS["twilio"],
        "TIDINGS_TWILIO_API_KEY": f"SK{'0' * 32}",
        "TIDINGS_TWILIO_API_SECRET": MARKS["apikey"],
        "TIDINGS_SMS_SENDER": "+15005550006",
        "TIDINGS_WEBHOOK_SECRET": f"whsec_{SIGNING}",
        "TIDINGS_WEBHOOK_ALLOW_PRIVATE": "true",
        "TIDINGS_WEBHOOK_RETRY": "1s",
        "TIDINGS_SMS_RETRY": "1s",
        "TIDINGS_ALERT_URL": f"json://nobody:{MARKS['alerting']}@127.0.0.1:{free_port()}/",
        "TIDINGS_AMQP_BACKOFF_MAX": "500ms",
        "TIDINGS_LOG_LEVEL": "debug",
        "TIDINGS_LOG_FORMAT": "json",
    }


async def publish(url: str, channel: str, recipient: str, **fields: object) -> None:
    """As a foreign producer would."""
    id = f"0192f0c1-7b1a-7c3e-9d55-{secrets.token_hex(6)}"
    written = {"id": id, "version": 1, "channel": channel, "recipient": recipient, **fields}
    async with await aio_pika.connect(url) as connection, connection.channel() as opened:
        exchange = await opened.get_exchange(EXCHANGE, ensure=False)
        message = aio_pika.Message(json.dumps(written).encode(), delivery_mode=2)
        await exchange.publish(message, f"{channel}.normal")


async def run_all(*commands: tuple[str, ...], env: Env) -> None:
    """Run commands, all at once; none may tell a secret."""
    for command in asyncio.as_completed([tidings(*command, env=env) for command in commands]):
        done = await command
        assert_tells_nothing("a command", done.out + done.err)


async def value(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def rows(database_url: str) -> str:
    """All that the ledger holds, but for what producers wrote."""
    connection = await asyncpg.connect(database_url)
    try:
        rows = []
        for table in ("notifications", "attempts", "transitions", "dead_letters", "alerts"):
            found = await connection.fetch(f"SELECT to_jsonb(t) - 'body' AS row FROM {table} t")  # noqa: S608  # ours
            rows += [str(row["row"]) for row in found]
        return "\n".join(rows)
    finally:
        await connection.close()


async def test_no_failure_tells_a_secret(
    secret_env: Env,
    broker_url: str,
    database_url: str,
    database_role: str,
    broker_user: str,
    management: Management,
    sms_sink: SmsSink,
    webhook_sink: WebhookSink,
    tmp_path: Path,
) -> None:
    log = tmp_path / "log"

    def logged(*words: str) -> bool:
        return all(word in log.read_text() for word in words)

    async with Relay(login=("mailer", "another")) as relay:
        servers: Mapping[str, str] = {
            "TIDINGS_EMAIL_PORT": str(relay.port),
            "TIDINGS_TWILIO_ACCOUNT_SID": sms_sink.account_sid,
            "TIDINGS_TWILIO_BASE_URL": sms_sink.url,
        }
        env = {**secret_env, **servers}
        async with running("all", env=env, log=log) as role:
            refused_host = f"127.0.0.1:{free_port()}"
            await publish(broker_url, "email", "a@example.com", subject="s", body="b")
            await publish(broker_url, "sms", "+14155550123", body="b")
            hook = {"event_type": "a.b", "payload": {"a": 1}}
            await publish(broker_url, "webhook", f"{webhook_sink.url}/status/500", **hook)
            await publish(broker_url, "webhook", f"https://{refused_host}/", **hook)
            await publish(
                broker_url, "webhook", f"https://u:{MARKS['userinfo']}@127.0.0.1/", **hook
            )
            await eventually(
                lambda: logged("not accept the login", "Twilio does not accept", "malformed"), 20
            )
            await eventually(lambda: logged("exhausted", "alert failed"), 20)
            id = await value(database_url, "SELECT max(id::text) FROM notifications")
            await run_all(
                ("settings", "--json"),
                ("show", str(id), "--reveal"),
                ("dead", "list", "--json", "--reveal"),
                env=env,
            )
            for path in ("/metrics", "/healthz"):
                assert_tells_nothing(path, role.get(path))
            assert_tells_nothing("the ledger", await rows(database_url))

            await management.create_user(broker_user, "replaced")
            await execute(database_url, f"ALTER ROLE {database_role} PASSWORD 'replaced'")
            await execute(
                database_url,
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{database_role}'",  # noqa: S608  # ours
            )
            await management.close_connections(at_least=3)
            await eventually(lambda: logged("ACCESS_REFUSED"), 20)
            await eventually(lambda: logged("password authentication failed"), 20)
            await run_all(("doctor",), env=env)
    assert_tells_nothing("the log", log.read_text())
