"""`tidings topology show | check | apply | prune | definitions` on a real broker."""

import asyncio
import json
from pathlib import Path

import pytest
from tests.support.forked import tidings
from tests.support.worker_rig import eventually

from tidings.broker.topology.inspection import differences, unbound
from tidings.broker.topology.layout import topology_of
from tidings.broker.topology.management import Management as Api
from tidings.broker.wire.session import connected
from tidings.settings import BrokerSettings, Settings
from tidings_local.management import Management


async def test_apply_makes_what_check_misses(env: dict[str, str]) -> None:
    before = await tidings("topology", "check", env=env)
    assert before.code == 1
    assert "tidings.email.high: there is no such queue" in before.out
    assert "`tidings topology apply`" in before.out
    applied = await tidings("topology", "apply", env=env)
    assert (applied.code, applied.err) == (0, "")
    after = await tidings("topology", "check", env=env)
    assert (after.code, after.err) == (0, "")
    assert "✓" in after.out


async def test_what_has_other_arguments_is_named_by_check_and_refused_by_apply(
    env: dict[str, str], management: Management
) -> None:
    await declared(management, "tidings.email.low", {"x-queue-type": "quorum"})
    check, apply = await asyncio.gather(
        tidings("topology", "check", "--json", env=env), tidings("topology", "apply", env=env)
    )
    found = {row["name"]: row for row in json.loads(check.out) if row["kind"] == "different"}
    assert "tidings.email.low" in found
    assert check.code == 1
    assert apply.code == 2
    assert "tidings.email.low" in apply.err


async def test_a_missing_binding_is_seen_through_the_management_api_only(
    env: dict[str, str], management: Management
) -> None:
    await tidings("topology", "apply", env=env)
    host = management.vhost
    key = "email.low.%23"
    await management.call(
        "DELETE", f"bindings/{host}/e/tidings.notifications/q/tidings.email.low/{key}"
    )
    seen, unseen = await asyncio.gather(
        tidings("topology", "check", env=env),
        tidings("topology", "check", env={**env, "TIDINGS_MANAGEMENT_URL": "http://127.0.0.1:1"}),
    )
    assert seen.code == 1
    assert "tidings.email.low: it is not bound to tidings.notifications" in seen.out
    assert unseen.code == 0
    assert "Bindings and leftover queues were not checked" in unseen.err


async def test_a_leftover_tier_is_no_fault_and_prune_deletes_it(
    env: dict[str, str], management: Management
) -> None:
    await tidings("topology", "apply", env={**env, "TIDINGS_EMAIL_RETRY": "1m 2m 4m 30m"})
    policy = {**env, "TIDINGS_EMAIL_RETRY": "1m 2m"}
    check, dry = await asyncio.gather(
        tidings("topology", "check", env=policy),
        tidings("topology", "prune", "--dry-run", "--json", env=policy),
    )
    assert check.code == 0
    assert "tidings.email.retry.30m" in check.out
    left = {row["name"] for row in json.loads(dry.out)}
    assert left == {f"tidings.email.retry.{delay}" for delay in ("4m", "30m")}
    await eventually(lambda: _counted(management, left), within=20)
    pruned = await tidings("topology", "prune", "--json", env=policy)
    assert pruned.code == 0
    assert {row["queue"] for row in json.loads(pruned.out) if row["deleted"]} == left
    assert not left & {row["name"] for row in await management.queues()}
    assert (await tidings("topology", "prune", env=policy)).out == "No leftover retry queues.\n"


async def _counted(management: Management, names: set[str]) -> bool:
    known = {row["name"] for row in await management.queues() if "messages" in row}
    return names <= known


async def test_show_needs_no_broker(away: dict[str, str]) -> None:
    words, as_json = await asyncio.gather(
        tidings("topology", "show", env={**away, "TIDINGS_SMS_RETRY": "7s"}),
        tidings("topology", "show", "--json", env=away),
    )
    assert "tidings.sms.retry.7s" in words.out
    assert {row["name"] for row in json.loads(as_json.out)["exchanges"]} == {
        "tidings.notifications",
        "tidings.retry",
        "tidings.dead",
        "tidings.inbox",
    }


async def test_the_definitions_file_makes_exactly_this_topology(
    management: Management, broker_url: str, env: dict[str, str]
) -> None:
    printed = await tidings("topology", "definitions", env={})
    definitions = json.loads(printed.out)
    del definitions["vhosts"]
    for row in (thing for things in definitions.values() for thing in things):
        del row["vhost"]
    await management.call("POST", f"definitions/{management.vhost}", definitions)
    settings = BrokerSettings(amqp_url=broker_url, management_url=env["TIDINGS_MANAGEMENT_URL"])
    wanted = topology_of(Settings())
    async with connected(settings, "test") as connection:
        assert await differences(connection, wanted, 10) == ()
    assert list(unbound(wanted, await Api.of(settings).bindings())) == []


async def test_the_definitions_file_is_written_and_checked(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "definitions.json"
    missing = await tidings("topology", "definitions", "--check", str(file), env={})
    written = await tidings("topology", "definitions", "--write", str(file), env={})
    same, other = await asyncio.gather(
        tidings("topology", "definitions", "--check", str(file), env={}),
        tidings("topology", "definitions", "--check", str(file), env={"TIDINGS_SMS_RETRY": "7s"}),
    )
    assert (missing.code, written.code, same.code, other.code) == (1, 0, 0, 1)
    assert "make schemas" in other.err


def test_the_committed_definitions_file_is_current() -> None:
    committed = Path(__file__).parents[3] / "deploy" / "rabbitmq" / "definitions.json"
    assert json.loads(committed.read_text()) == topology_of(Settings()).definitions()


@pytest.mark.parametrize("command", ["check", "apply", "prune"])
async def test_a_setting_that_is_wrong_is_named_before_anything_is_asked(command: str) -> None:
    refused = await tidings("topology", command, env={"TIDINGS_EMAIL_RETRY": "soon"})
    assert refused.code == 2
    assert "TIDINGS_EMAIL_RETRY" in refused.err
    assert "Traceback" not in refused.err


@pytest.mark.parametrize("command", [("check",), ("apply",), ("prune",), ("prune", "--dry-run")])
async def test_the_topology_needs_no_database(
    away: dict[str, str], command: tuple[str, ...]
) -> None:
    env = {**away, "TIDINGS_DATABASE_URL": "mysql://x"}
    failed = await tidings("topology", *command, env=env)
    assert failed.code == 3, failed.err
    assert "TIDINGS_DATABASE_URL" not in failed.err


async def declared(management: Management, queue: str, arguments: dict[str, str]) -> None:
    body = {"durable": True, "auto_delete": False, "arguments": arguments}
    await management.call("PUT", f"queues/{management.vhost}/{queue}", body)
