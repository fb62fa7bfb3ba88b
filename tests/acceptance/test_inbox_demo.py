"""What the inbox page of `make run` sends is in the user's inbox, whichever way it goes."""

import asyncio
from typing import Any

import aiohttp
import pytest

from tidings_local.laptop import Laptop


async def read(laptop: Laptop, user: str, **filters: str) -> list[dict[str, Any]]:
    """As the page reads it: with the user's token, from its own origin."""
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{laptop.inbox.url}users/{user}/token") as reply:
            token = await reply.text()
        url = f"http://{laptop.environment['TIDINGS_API_LISTEN']}/v1/inbox"
        headers = {"Authorization": f"Bearer {token}", "Origin": laptop.inbox.origins[0]}
        async with http.get(url, headers=headers, params={**filters, "limit": "100"}) as reply:
            assert reply.headers["Access-Control-Allow-Origin"] == laptop.inbox.origins[0]
            data: list[dict[str, Any]] = (await reply.json())["data"]
            return data


async def read_until(laptop: Laptop, user: str, count: int) -> list[str]:
    async with asyncio.timeout(20):
        while len(found := await read(laptop, user)) < count:
            await asyncio.sleep(0.05)
    return [message["title"] for message in found]


@pytest.mark.timeout(120)
async def test_what_it_sends_is_in_the_inbox(
    broker_url: str, database_url: str, tmp_path: Any
) -> None:
    given = {"TIDINGS_AMQP_URL": broker_url, "TIDINGS_DATABASE_URL": database_url}
    async with Laptop(tmp_path, given) as laptop:
        await laptop.start_roles()
        async with aiohttp.ClientSession(laptop.inbox.url) as page:

            async def send(recipient: str, title: str, **how: Any) -> Any:
                form = {"notification": {"recipient": recipient, "title": title}, **how}
                async with page.post("/send", json=form) as reply:
                    answer = await reply.json()
                    assert reply.status == 200, answer
                    return answer

            one_by_http = await send("ada", "By HTTP")
            assert one_by_http["where"] == "POST /v1/notifications"
            assert one_by_http["body"] == {
                "channel": "in_app",
                "recipient": "ada",
                "title": "By HTTP",
            }
            assert await read_until(laptop, "ada", 1) == ["By HTTP"]
            one_by_amqp = await send("ada", "By AMQP", through="amqp", count=2)
            assert one_by_amqp["where"] == "tidings.notifications, in_app.normal"
            assert one_by_amqp["body"]["title"] == "By AMQP · 1"
            many = await send("grace", "Of many", count=50)
            assert len(many["ids"]) == 50
            assert sorted(await read_until(laptop, "grace", 50))[0] == "Of many · 1"
            assert set(await read_until(laptop, "ada", 3)) == {
                "By HTTP",
                "By AMQP · 1",
                "By AMQP · 2",
            }
            await send("ada", "Later", snooze=60)
            assert [it["title"] for it in await read(laptop, "ada", snoozed="true")] == ["Later"]
            async with page.get(f"/notifications/{many['ids'][0]}") as shown:
                assert "State     SENT" in await shown.text()
            async with page.post(
                "/send", json={"notification": {"recipient": "ada", "title": "x" * 201}}
            ) as reply:
                assert "title" in (await reply.json())["error"]
