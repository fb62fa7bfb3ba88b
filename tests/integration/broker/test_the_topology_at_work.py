"""The topology on a real RabbitMQ: declared, imported, and the ways that messages take through it."""

import asyncio
from typing import Any

import aio_pika
import pytest
from tests.support.broker_rig import LANE, QUORUM, SMALL, BrokerRig
from tests.support.worker_rig import eventually

from tidings.broker.topology.declaration import declare
from tidings.broker.topology.inspection import differences
from tidings.broker.topology.layout import DELIVERY_LIMIT, Binding, topology
from tidings.broker.wire.amqp import connect
from tidings.delivery.delay import Delay
from tidings.delivery.errors import ConfigurationError
from tidings_local.management import Management


async def present(management: Management) -> tuple[dict[str, Any], dict[str, Any], set[Binding]]:
    """Queues and exchanges with their arguments, and bindings, as RabbitMQ has them."""
    queues = {row["name"]: row["arguments"] for row in await management.queues()}
    exchanges = {
        row["name"]: (row["type"], row["arguments"])
        for row in await management.exchanges()
        if row["name"].startswith("tidings.")
    }
    bindings = {
        Binding(row["source"], row["destination"], row["routing_key"])
        for row in await management.bindings()
        if row["source"]
    }
    return queues, exchanges, bindings


def wanted() -> tuple[dict[str, Any], dict[str, Any], set[Binding]]:
    return (
        {queue.name: dict(queue.arguments) for queue in SMALL.queues},
        {exchange.name: (exchange.type, dict(exchange.arguments)) for exchange in SMALL.exchanges},
        set(SMALL.bindings),
    )


# Declaring.


async def test_declaring_makes_exactly_what_the_data_says(
    declared: BrokerRig, management: Management
) -> None:
    assert await present(management) == wanted()


async def test_declaring_again_changes_nothing_and_keeps_what_waits(
    declared: BrokerRig, management: Management
) -> None:
    await declared.publish("email.high", b"waits")
    await declared.declare()
    assert await present(management) == wanted()
    assert (await declared.take()).body == b"waits"


async def test_a_new_tier_is_added_beside_the_old_ones(
    declared: BrokerRig, management: Management
) -> None:
    await declared.declare(topology({"email": [Delay(1), Delay(60)]}))
    queues, _, bindings = await present(management)
    assert queues["tidings.email.retry.1m"]["x-message-ttl"] == 60_000
    assert Binding("tidings.retry", "tidings.email.retry.1m", "email.*.1m") in bindings


async def test_a_queue_with_other_arguments_is_named_with_what_to_do(rig: BrokerRig) -> None:
    await rig.channel.declare_queue(LANE, durable=True, arguments=QUORUM)
    with pytest.raises(ConfigurationError, match=rf"the queue {LANE} exists") as caught:
        await rig.declare()
    assert "inequivalent arg" in str(caught.value)
    assert "tidings topology check" in str(caught.value)
    assert "tidings topology apply" in str(caught.value)


async def test_an_exchange_of_another_type_is_named_with_what_to_do(rig: BrokerRig) -> None:
    await rig.channel.declare_exchange("tidings.retry", "direct", durable=True)
    with pytest.raises(ConfigurationError, match=r"the exchange tidings\.retry exists"):
        await rig.declare()


async def test_a_difference_costs_a_channel_and_not_the_connection(rig: BrokerRig) -> None:
    await rig.channel.declare_queue(LANE, durable=True, arguments=QUORUM)
    connection = await connect(rig.settings.urls[0], rig.settings, "test")
    try:
        for _ in range(2):
            with pytest.raises(ConfigurationError):
                await declare(connection, SMALL, 5.0)
        await rig.channel.queue_delete(LANE)
        await declare(connection, SMALL, 5.0)
        assert not connection.is_closed
    finally:
        await connection.close()


async def test_definitions_imported_by_an_operator_leave_nothing_to_declare(
    rig: BrokerRig, management: Management
) -> None:
    definitions = SMALL.definitions()
    del definitions["vhosts"]  # they are for `/`, and this is a virtual host of the test's own
    await management.call("POST", f"definitions/{management.vhost}", definitions)
    assert await present(management) == wanted()
    connection = await connect(rig.settings.urls[0], rig.settings, "test")
    try:
        assert await differences(connection, SMALL, 5.0) == ()
        await declare(connection, SMALL, 5.0)
    finally:
        await connection.close()
    assert await present(management) == wanted()


# The ways of a message.


async def test_a_key_leads_to_its_lane_whatever_follows_the_priority(declared: BrokerRig) -> None:
    for key in ("email.high", "email.high.2m", "email.high.any.thing"):
        await declared.publish(key, b"here")
        assert (await declared.take()).routing_key == key


async def test_through_its_tier_a_message_comes_back_once_with_its_key(
    declared: BrokerRig,
) -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    await declared.publish("email.high.1s", b"again", exchange="tidings.retry")
    assert await declared.depth("tidings.email.retry.1s") == 1
    message = await declared.take()
    assert 0.9 < loop.time() - started < 8
    assert (message.body, message.routing_key) == (b"again", "email.high.1s")
    assert message.exchange == "tidings.notifications"
    await eventually(lambda: empty(declared, "tidings.email.retry.1s"))
    for queue in (LANE, "tidings.email.urgent", "tidings.dead"):
        assert await declared.depth(queue) == 0


async def empty(rig: BrokerRig, queue: str) -> bool:
    return await rig.depth(queue) == 0


async def test_all_priorities_share_a_tier_and_find_back_to_their_lanes(
    declared: BrokerRig,
) -> None:
    priorities = ("urgent", "high", "normal", "low")
    for priority in priorities:
        await declared.publish(f"email.{priority}.1s", priority.encode(), exchange="tidings.retry")
    for priority in priorities:
        assert (await declared.take(f"tidings.email.{priority}")).body == priority.encode()


@pytest.mark.parametrize("key", ["fax.high", "email", "email.someday", "", "tidings.email.high"])
async def test_a_wrong_key_is_not_lost(declared: BrokerRig, key: str) -> None:
    await declared.publish(key, b"astray")
    message = await declared.take("tidings.dead")
    assert (message.body, message.routing_key) == (b"astray", key)
    assert message.exchange == "tidings.notifications"


async def test_what_crashes_worker_after_worker_ends_among_the_dead_letters(
    declared: BrokerRig,
) -> None:
    await declared.publish("email.high", b"poison")
    lane = await declared.channel.get_queue(LANE, ensure=False)
    deliveries = 0

    async def given_up() -> bool:
        nonlocal deliveries
        if message := await lane.get(fail=False):
            deliveries += 1
            await message.reject(requeue=True)
        return await declared.depth("tidings.dead") == 1

    await eventually(given_up, within=20)
    assert deliveries == DELIVERY_LIMIT + 1
    dead = await declared.take("tidings.dead")
    assert dead.body == b"poison"
    [death, *_] = dead.headers["x-death"]  # type: ignore[misc]
    assert (death["queue"], death["reason"]) == (LANE, "delivery_limit")  # type: ignore[index,call-overload]


async def test_the_dead_queue_gives_nothing_up_however_often_its_archive_crashes(
    declared: BrokerRig,
) -> None:
    await declared.publish("", b"dead", exchange="tidings.dead")
    queue = await declared.channel.get_queue("tidings.dead", ensure=False)
    for _ in range(30):
        message = await queue.get(timeout=5)
        assert message is not None
        await message.nack(requeue=True)
    assert (await declared.take("tidings.dead")).body == b"dead"


async def test_a_full_lane_refuses_what_is_published_and_drops_nothing(
    declared: BrokerRig, management: Management
) -> None:
    await management.set_policy("full", "^tidings.email.high$", {"max-length": 2})
    published = 0

    async def refused() -> bool:
        nonlocal published
        try:
            await declared.publish("email.high", str(published).encode())
        except aio_pika.exceptions.DeliveryError:
            return True
        published += 1
        return False

    await eventually(refused)
    assert await declared.depth() == published
    assert [int((await declared.take()).body) for _ in range(published)] == list(range(published))
