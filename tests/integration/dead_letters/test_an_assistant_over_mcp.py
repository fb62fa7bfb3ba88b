"""`tidings mcp` with the SDK's own client: it reads, masks people, and acts only with a key that may, if it is told to."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from tests.integration.dead_letters.conftest import Tidings
from tests.support.dead_letter_rig import DeadLetterRig, environment_of, written
from tests.support.processes import TIDINGS

from tidings.operations import keys
from tidings.operations.actor import Actor

if TYPE_CHECKING:
    from mcp import Client

ACTING = {
    "cancel_notification",
    "edit_dead_letters",
    "replay_dead_letters",
    "pause_channel",
    "resume_channel",
}
OF_ALL_TENANTS = {"list_channels", "pause_channel", "resume_channel"}
TESTER = Actor("cli", "tester@desk")


@asynccontextmanager
async def assistant(rig: DeadLetterRig, key: str = "") -> AsyncIterator["Client"]:
    # Loading it takes half a second, and every process of the tests collects this file.
    from mcp import Client
    from mcp.client.stdio import StdioServerParameters

    environment = {**environment_of(rig), "TIDINGS_MCP_API_KEY": key}
    server = StdioServerParameters(command=str(TIDINGS), args=["mcp"], env=environment)
    async with Client(server) as client:
        yield client


async def key_of(rig: DeadLetterRig, *scopes: str, tenant: str = "*") -> str:
    async with rig.backend() as backend:
        request = keys.CreateKeyRequest(tenant, scopes, name="assistant")
        return (await keys.create(backend, TESTER, request)).secret


async def names(client: "Client") -> set[str]:
    return {tool.name for tool in (await client.list_tools()).tools}


async def call(client: "Client", tool: str, **arguments: Any) -> Any:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return result.structured_content


async def refused(client: "Client", tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    return str(result.content)


async def with_a_dead_letter(rig: DeadLetterRig, **fields: object) -> tuple[str, str]:
    """A dead letter's id and its notification's."""
    id = uuid4()
    async with rig.archiving():
        before = await rig.fetch("SELECT id FROM dead_letters")
        await rig.make_dead_letter(written(id, **fields))
        rows = await rig.dead_letters(len(before) + 1)
    [row] = [row for row in rows if row["notification_id"] == id]
    return str(row["id"]), str(id)


async def test_it_reads_what_operators_read_and_nobody_is_given_away(rig: DeadLetterRig) -> None:
    dead_letter, id = await with_a_dead_letter(rig)
    async with assistant(rig) as client:
        tools = (await client.list_tools()).tools
        assert {tool.name for tool in tools} & ACTING == set()
        assert all(tool.annotations and tool.annotations.read_only_hint for tool in tools)
        assert all(tool.description for tool in tools)
        [group] = (await call(client, "dead_letter_groups"))["data"]
        listed = await call(client, "list_dead_letters", fingerprint=group["fingerprint"])
        assert [each["id"] for each in listed["data"]] == [dead_letter]
        seen = [
            group,
            listed,
            await call(client, "show_dead_letter", id=dead_letter),
            await call(client, "show_notification", id=id),
            await call(client, "list_notifications", states=["failed"], since="1h"),
            await call(client, "show_statistics", since="1h"),
            await call(client, "list_channels"),
            await call(client, "list_jobs"),
        ]
        assert id in json.dumps(seen)
        assert "ada@example.com" not in json.dumps(seen)
        assert "How are you?" not in json.dumps(seen)


async def test_what_it_asks_wrongly_is_explained_to_it(rig: DeadLetterRig) -> None:
    async with assistant(rig, await key_of(rig, "read", "operate")) as client:
        assert "there is no such notification" in await refused(
            client, "show_notification", id=str(uuid4())
        )
        assert "from 1 to 100" in await refused(client, "list_jobs", limit=0)
        assert "give a fingerprint or ids" in await refused(client, "replay_dead_letters")
        assert "lower-case letters" in await refused(client, "list_notifications", tenant="A b")


async def test_it_acts_only_when_it_is_told_to_and_in_the_name_of_its_key(
    rig: DeadLetterRig,
) -> None:
    dead_letter, _ = await with_a_dead_letter(rig)
    key = await key_of(rig, "read", "operate")
    async with assistant(rig, key) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert tools.keys() >= ACTING
        for name in ACTING:
            assert tools[name].input_schema["properties"]["dry_run"]["default"] is True
        looked = await call(client, "replay_dead_letters", ids=[dead_letter])
        assert (looked["dry_run"], looked["now"]["would_replay"]) == (True, 1)
        await call(client, "pause_channel", channel="email", note="test")
        edit: dict[str, Any] = {"ids": [dead_letter], "set_fields": {"locale": "de"}, "note": "x"}
        edited = await call(client, "edit_dead_letters", **edit)
        assert edited["now"]["sample_edits"][0]["changes"] == ['+  "locale": "de"']
        sent_on = {**edit, "set_fields": {"recipient": "eve@example.com"}}
        assert "needs the scope reveal" in await refused(client, "edit_dead_letters", **sent_on)
        assert await rig.fetch("SELECT FROM jobs WHERE state <> 'cancelled'") == []
        assert await rig.fetch("SELECT * FROM channel_orders") == []

        job = await call(client, "replay_dead_letters", ids=[dead_letter], dry_run=False)
        assert (job["state"], job["item_count"]) == ("running", 1)
        assert (await call(client, "show_job", id=job["id"]))["id"] == job["id"]
        job = await call(client, "edit_dead_letters", **edit, dry_run=False)
        assert (job["kind"], job["state"], job["note"]) == ("edit", "running", "x")
        await call(client, "pause_channel", channel="email", note="test", dry_run=False)
    actor = f"mcp assistant {key[:16]}"
    [order] = await rig.fetch("SELECT verb, actor, note FROM channel_orders")
    assert order == {"verb": "pause", "actor": actor, "note": "test"}
    [stored] = await rig.fetch("SELECT DISTINCT actor FROM jobs")
    assert stored == {"actor": actor}


async def test_a_key_that_is_revoked_or_becomes_one_for_tests_does_nothing_more(
    rig: DeadLetterRig,
) -> None:
    key = await key_of(rig, "read", "operate")
    async with assistant(rig, key) as client:
        await call(client, "list_jobs")
        await rig.fetch("UPDATE api_keys SET test = true")
        why = await refused(client, "pause_channel", channel="email", note="test", dry_run=False)
        assert "a test key sees nothing but tests" in why
        assert "a test key sees nothing but tests" in await refused(client, "list_jobs")
        async with rig.backend() as backend:
            await keys.revoke(backend, TESTER, keys.RevokeKeyRequest(key))
        for tool in ("list_jobs", "show_statistics"):
            assert "unknown, revoked or expired" in await refused(client, tool)
        why = await refused(client, "pause_channel", channel="email", note="test", dry_run=False)
        assert "unknown, revoked or expired" in why
    assert await rig.fetch("SELECT * FROM channel_orders") == []


async def test_a_key_of_one_tenant_reads_and_changes_nothing_of_another(rig: DeadLetterRig) -> None:
    own, _ = await with_a_dead_letter(rig, tenant="shop")
    foreign, foreign_notification = await with_a_dead_letter(rig, tenant="acme")
    async with assistant(rig, await key_of(rig, "read", "operate", tenant="shop")) as client:
        assert await names(client) & OF_ALL_TENANTS == set()
        listed = await call(client, "list_dead_letters")
        assert [each["id"] for each in listed["data"]] == [own]
        [group] = (await call(client, "dead_letter_groups"))["data"]
        assert group["count"] == 1
        assert (await call(client, "show_statistics"))["queues"] is None
        for tool, id in (
            ("show_dead_letter", foreign),
            ("show_notification", foreign_notification),
            ("show_job", str(uuid4())),
        ):
            assert "there is no" in await refused(client, tool, id=id)
        cancel = {"id": foreign_notification, "note": "test", "dry_run": False}
        assert "there is no notification" in await refused(client, "cancel_notification", **cancel)
        assert "of the tenant shop" in await refused(client, "list_notifications", tenant="acme")
        assert "not a whole UUID" in await refused(client, "show_dead_letter", id=foreign[:8])

        replayed = await call(
            client, "replay_dead_letters", fingerprint=group["fingerprint"], dry_run=False
        )
        assert (replayed["item_count"], replayed["tenant"]) == (1, "shop")
        acted = await call(client, "replay_dead_letters", ids=[foreign], dry_run=False)
        assert acted["item_count"] == 0


async def test_what_a_key_does_not_permit_is_not_offered_nor_done(
    rig: DeadLetterRig, tidings: Tidings
) -> None:
    async with assistant(rig, await key_of(rig, "read")) as client:
        assert await names(client) & ACTING == set()
        result = await client.call_tool("pause_channel", {"channel": "email", "note": "test"})
        assert result.is_error
    for key, why in (
        ("tk_live_mistyped", "unknown, revoked or expired"),
        (await key_of(rig, "send"), "permits no tool"),
    ):
        ended = await tidings("mcp", TIDINGS_MCP_API_KEY=key)
        assert ended.code != 0
        assert why in ended.err
        assert key not in ended.err
