"""`tidings outbox`: installed, watched, repaired and relayed from the command line."""

import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from tests.support.forked import tidings
from tests.support.outbox_rig import OutboxRig, ids
from tests.support.processes import running
from tests.support.worker_rig import eventually

SMS = {"channel": "sms", "recipient": "+14155550123", "body": "Hello"}
BAD = {**SMS, "recipient": "+1555"}


@pytest.fixture
def env(rig: OutboxRig) -> dict[str, str]:
    return {"TIDINGS_OUTBOX_DSN": rig.dsn, "TIDINGS_AMQP_URL": rig.broker_url}


@pytest.fixture
async def new_schema(rig: OutboxRig) -> AsyncIterator[str]:
    schema = f"{rig.schema}_new"
    await rig.database.execute(f"CREATE SCHEMA {schema}; SET search_path = {schema}")
    yield schema
    await rig.database.execute(f"DROP SCHEMA {schema} CASCADE")


async def test_the_table_is_installed_and_again_without_a_change(
    rig: OutboxRig, env: dict[str, str], new_schema: str
) -> None:
    done = await tidings("outbox", "install", "--schema", new_schema, env=env)
    assert (done.code, done.out) == (0, f"The table {new_schema}.tidings_outbox is there.\n")
    again = await tidings("outbox", "install", "--schema", new_schema, "--dsn", rig.dsn, env={})
    assert again.out == f"The table {new_schema}.tidings_outbox was there already.\n"


async def test_what_is_printed_is_sql_that_installs_it(
    rig: OutboxRig, env: dict[str, str], new_schema: str
) -> None:
    printed = await tidings(
        "outbox", "install", "--print", "--no-notify", "--schema", new_schema, env={}
    )
    await rig.database.execute(printed.out)
    shown = await tidings("outbox", "status", "--schema", new_schema, env=env)
    assert (shown.code, shown.out) == (0, "Nothing waits.\n")
    triggers = "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'tidings_outbox'::regclass"
    assert await rig.database.fetchval(triggers) == 0


async def test_a_table_or_schema_that_is_not_ours_is_left_alone(
    rig: OutboxRig, env: dict[str, str], new_schema: str
) -> None:
    await rig.database.execute("CREATE TABLE tidings_outbox (id int)")
    done = await tidings("outbox", "install", "--schema", new_schema, env=env)
    assert done.code == 1
    assert "that is no outbox of Tidings" in done.err
    none = await tidings("outbox", "install", "--schema", "nowhere", env=env)
    assert none.code == 1
    assert "there is no schema nowhere" in none.err
    wrong = await tidings("outbox", "install", "--schema", "a b", env=env)
    assert wrong.code == 2
    assert "a schema's name begins with" in wrong.err


async def test_status_shows_lanes_and_reasons_without_anybodys_number(
    rig: OutboxRig, env: dict[str, str]
) -> None:
    two = {"recipient": "+1556", "sender": "Twelve chars"}
    failed = [await rig.insert({**BAD, **two}), await rig.insert({**SMS, **two})]
    async with rig.relaying(attempts=1):
        await rig.bind("none.*")
        await rig.insert(SMS)
        await rig.drained()
    await rig.add("waits")
    shown = await tidings("outbox", "status", "--schema", rig.schema, env=env)
    assert "email.normal" in shown.out
    assert "is not a valid phone number" in shown.out
    assert "+155" not in shown.out
    assert "Twelve" not in shown.out
    assert "no queue is bound for sms.normal" in shown.out
    assert "tidings outbox republish" in shown.err
    data = json.loads(
        (await tidings("outbox", "status", "--schema", rig.schema, "--json", env=env)).out
    )
    assert data["pending"] == 1
    [lane] = data["lanes"]
    assert (lane["lane"], lane["pending"], lane["retrying"]) == ("email.normal", 1, 0)
    group, _ = data["failed"]
    assert group["count"] == 2
    assert group["sample"] in map(str, failed)


async def test_failed_rows_are_published_again(rig: OutboxRig, env: dict[str, str]) -> None:
    await rig.bind("sms.*")
    first, second = await rig.insert(BAD), await rig.insert(BAD)
    schema = ("--schema", rig.schema)
    async with rig.relaying(poll=60):
        await rig.drained()
        await rig.database.execute(
            "UPDATE tidings_outbox SET body = jsonb_set(body::jsonb, '{recipient}', '\"+14155550123\"')::json"
        )
        first_again = await tidings(
            "outbox", "republish", str(first), str(first)[:-4] + "0000", *schema, env=env
        )
        assert first_again.out == "1 row will be published again.\n"
        assert "1 of the ids" in first_again.err
        assert ids(await rig.taken(1)) == [first]
        dry = await tidings("outbox", "republish", "--all", "--dry-run", *schema, env=env)
        assert dry.out == "1 row would be published again.\n"
        rest = await tidings("outbox", "republish", "--all", *schema, env=env)
        assert rest.out == "1 row will be published again.\n"
        assert ids(await rig.taken(1)) == [second]
    neither = await tidings("outbox", "republish", *schema, env=env)
    assert neither.code == 2


async def test_a_database_that_is_missing_unnamed_or_unreachable_is_named(
    rig: OutboxRig, env: dict[str, str], unused_tcp_port: int
) -> None:
    unnamed = await tidings("outbox", "status", env={})
    assert unnamed.code == 2
    assert "give --dsn, or set TIDINGS_OUTBOX_DSN" in unnamed.err
    odd = await tidings("outbox", "status", "--dsn", "mysql://x", env={})
    assert odd.code == 2
    gone = f"postgresql://u:secret@127.0.0.1:{unused_tcp_port}/x"
    away = await tidings("outbox", "status", "--dsn", gone, env={})
    assert away.code == 3
    assert f"127.0.0.1:{unused_tcp_port}" in away.err
    assert "secret" not in away.err
    missing = await tidings("outbox", "relay", "--schema", "nowhere", env=env)
    assert missing.code == 2
    assert "run `tidings outbox install --schema nowhere`" in missing.err
    nobody = rig.dsn.replace("//", "//nobody-", 1)
    refused = await tidings("outbox", "status", "--dsn", nobody, env={})
    assert refused.code == 2


async def test_a_relay_publishes_shows_its_figures_and_stops_on_sigterm(
    rig: OutboxRig, env: dict[str, str], tmp_path: Path
) -> None:
    await rig.bind()
    log = tmp_path / "relay.log"
    await rig.insert(BAD)
    async with running("outbox", "relay", "--schema", rig.schema, env=env, log=log) as relay:
        wanted = await rig.add("first", "second")
        assert ids(await rig.taken(2)) == wanted
        await rig.drained()

        async def counted() -> bool:
            return "tidings_outbox_relay_published_total 2.0" in relay.get("/metrics")

        await eventually(counted)
        shown = relay.get("/metrics")
        for line in (
            "tidings_outbox_relay_failed_total 1.0",
            "tidings_outbox_pending ",
            "tidings_broker_up 1.0",
            "tidings_ledger_up 1.0",
        ):
            assert line in shown
        assert json.loads(relay.get("/readyz"))["checks"] == {"outbox relay": True}
        relay.signal(signal.SIGTERM)
        assert await relay.ended(within=10) == 0
    text = log.read_text()
    assert "stopping" in text
    assert "failed: recipient: is not a valid phone number" in text
    assert "+1555" not in text
    assert rig.dsn.split(":")[2].split("@")[0] not in text


async def test_a_relay_needs_no_more_permissions_than_documented(
    rig: OutboxRig, env: dict[str, str], tmp_path: Path
) -> None:
    await rig.bind()
    role = f"relay_{rig.schema}"
    await rig.database.execute(
        f"""
        CREATE ROLE {role} LOGIN PASSWORD 'relay';
        GRANT USAGE ON SCHEMA {rig.schema} TO {role};
        GRANT SELECT, UPDATE, DELETE ON tidings_outbox TO {role};
        """
    )
    dsn = f"postgresql://{role}:relay@{rig.dsn.rpartition('@')[2]}"
    try:
        async with rig.relaying(dsn=dsn, keep=60) as relay:
            await rig.insert(BAD)
            wanted = await rig.add("first")
            assert ids(await rig.taken(1)) == wanted
            await rig.drained()
            await eventually(lambda: relay.ready)
        connection = await asyncpg.connect(dsn)
        await connection.close()
    finally:
        await rig.database.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
