"""RabbitMQ's management API, as tests and people use it."""

import asyncio

import aio_pika
import pytest

from tidings_local.errors import LocalStackError
from tidings_local.management import Management
from tidings_local.ports import free_port


async def declare(broker_url: str, queue: str) -> None:
    async with await aio_pika.connect(broker_url) as connection:
        await (await connection.channel()).declare_queue(queue, durable=True)


async def test_a_published_message_can_be_seen_and_stays(
    broker_url: str, management: Management
) -> None:
    await declare(broker_url, "dead letters/1")
    assert await management.publish("", "dead letters/1", "hello", {"message_id": "7"})
    for _ in range(2):
        [message] = await management.peek("dead letters/1", 5)
        assert (message["payload"], message["properties"]["message_id"]) == ("hello", "7")
    [taken] = await management.peek("dead letters/1", remove=True)
    assert taken["payload"] == "hello"
    assert await management.peek("dead letters/1") == []


async def test_a_message_that_fits_no_queue_is_told(management: Management) -> None:
    assert not await management.publish("amq.direct", "nowhere", "hello")


async def test_queues_can_be_emptied_and_deleted(broker_url: str, management: Management) -> None:
    await declare(broker_url, "dead_letters")
    await management.publish("", "dead_letters", "hello")
    await management.purge("dead_letters")
    assert await management.peek("dead_letters") == []
    await management.delete_queue("dead_letters")
    assert await management.queues() == []


async def test_depths_follow_within_the_statistics_interval(
    broker_url: str, management: Management
) -> None:
    await declare(broker_url, "dead_letters")
    await management.publish("", "dead_letters", "hello")
    while await management.depths() != {"dead_letters": 1}:
        pass


async def test_connections_are_closed_with_a_reason(
    broker_url: str, management: Management
) -> None:
    async with await aio_pika.connect(broker_url) as connection:
        closed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        connection.close_callbacks.add(lambda _, error: closed.set_result(error))
        assert await management.close_connections("a test said so", at_least=1) == 1
        assert "a test said so" in str(await asyncio.wait_for(closed, 5))


async def test_connections_that_do_not_come_are_not_waited_for_for_ever(
    management: Management,
) -> None:
    assert await management.close_connections() == 0
    with pytest.raises(LocalStackError, match=r"0 of 1 connections .* within 0\.1s"):
        await management.close_connections(at_least=1, timeout=0.1)


async def test_a_policy_holds(broker_url: str, management: Management) -> None:
    await declare(broker_url, "dead_letters")
    await management.set_policy("short", "^dead_letters$", {"max-length": 1})
    queue = await management.queue("dead_letters")
    while queue.get("policy") != "short":
        queue = await management.queue("dead_letters")


async def test_a_refusal_is_quoted(management: Management) -> None:
    with pytest.raises(LocalStackError, match=r"refused GET queues/.*/nothing: 404"):
        await management.queue("nothing")


async def test_a_user_may_be_allowed_less(broker_url: str, management: Management) -> None:
    name = f"{management.vhost}-reader"
    await management.create_user(name, "secret")
    await management.allow(name, configure="^$", write="^$")
    try:
        users = await management.call("GET", "permissions")
        [mine] = [user for user in users if user["user"] == name]
        assert (mine["configure"], mine["write"], mine["read"]) == ("^$", "^$", ".*")
    finally:
        await management.call("DELETE", f"users/{name}")


async def test_a_server_that_is_not_there_is_said_to_be_away() -> None:
    nowhere = Management(f"http://guest:guest@127.0.0.1:{free_port()}")
    with pytest.raises(LocalStackError, match="can't be reached"):
        await nowhere.queues()


async def test_another_virtual_host_is_another_world(management: Management) -> None:
    other = management.on(f"{management.vhost}/other")
    await other.create()
    try:
        assert {queue["vhost"] for queue in await other.queues()} == set()
        assert len(await other.exchanges()) == 7
        assert await other.bindings() == []
    finally:
        await other.delete()
