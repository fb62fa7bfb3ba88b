"""`tidings mcp` with the SDK's own client: it reads freely, masks people, and acts only if it may and is told to."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from mcp import Client
from mcp.client.stdio import StdioServerParameters
from tests.support.dead_letter_rig import DeadLetterRig, environment_of, written
from tests.support.processes import TIDINGS

ACTING = {"cancel_notification", "replay_dead_letters", "pause_channel", "resume_channel"}


@asynccontextmanager
async def assistant(rig: DeadLetterRig, *arguments: str) -> AsyncIterator[Client]:
    server = StdioServerParameters(
        command=str(TIDINGS), args=["mcp", *arguments], env=environment_of(rig)
    )
    async with Client(server) as client:
        yield client


async def call(client: Client, tool: str, **arguments: Any) -> Any:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return result.structured_content


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    return str(result.content)


async def with_a_dead_letter(rig: DeadLetterRig) -> tuple[str, str]:
    """A dead letter's id and its notification's."""
    id = uuid4()
    async with rig.archiving():
        await rig.make_dead_letter(written(id))
        [row] = await rig.dead_letters(1)
    return str(row["id"]), str(id)


async def test_it_reads_what_operators_read_and_nobody_is_given_away(rig: DeadLetterRig) -> None:
    dead_letter, id = await with_a_dead_letter(rig)
    async with assistant(rig) as client:
        tools = (await client.list_tools()).tools
        assert {tool.name for tool in tools} & ACTING == set()
        assert all(tool.annotations and tool.annotations.read_only_hint for tool in tools)
        assert all(tool.description for tool in tools)
        [group] = (await call(client, "dead_letter_groups"))["groups"]
        listed = await call(client, "list_dead_letters", fingerprint=group["fingerprint"])
        assert [each["id"] for each in listed["dead_letters"]] == [dead_letter]
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
    async with assistant(rig, "--scope", "operate") as client:
        assert "there is no such notification" in await refused(
            client, "show_notification", id=str(uuid4())
        )
        assert "from 1 to 100" in await refused(client, "list_jobs", limit=0)
        assert "give a fingerprint or ids" in await refused(client, "replay_dead_letters")
        assert "lower-case letters" in await refused(client, "list_notifications", tenant="A b")


async def test_it_acts_only_when_it_is_told_to_and_under_its_own_name(rig: DeadLetterRig) -> None:
    dead_letter, _ = await with_a_dead_letter(rig)
    async with assistant(rig, "--scope", "operate") as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert tools.keys() >= ACTING
        for name in ACTING:
            assert tools[name].input_schema["properties"]["dry_run"]["default"] is True
        looked = await call(client, "replay_dead_letters", ids=[dead_letter])
        assert (looked["dry_run"], looked["now"]["chosen"]) == (True, 1)
        assert (await call(client, "list_jobs"))["jobs"] == []
        await call(client, "pause_channel", channel="email", note="test")
        assert await rig.fetch("SELECT * FROM channel_orders") == []

        job = await call(client, "replay_dead_letters", ids=[dead_letter], dry_run=False)
        assert (job["state"], job["items"]) == ("running", 1)
        assert (await call(client, "show_job", id=job["id"]))["id"] == job["id"]
        await call(client, "pause_channel", channel="email", note="test", dry_run=False)
    [order] = await rig.fetch("SELECT verb, actor, note FROM channel_orders")
    assert (order["verb"], order["note"]) == ("pause", "test")
    assert str(order["actor"]).startswith("mcp ")
