"""What is in RabbitMQ, how it differs from what Tidings needs, and the deleting of what is left over."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from aio_pika.abc import AbstractConnection
from aiormq.exceptions import AMQPError
from tests.conftest import BrokerAddress
from tests.support.worker_rig import eventually

from tidings.broker.topology.declaration import declare
from tidings.broker.topology.inspection import (
    Depth,
    Difference,
    Kind,
    depths,
    differences,
    leftovers,
    server,
    unbound,
)
from tidings.broker.topology.layout import Topology, topology
from tidings.broker.topology.management import Management
from tidings.broker.topology.pruning import Pruned, Pruner
from tidings.broker.wire.amqp import open_channel
from tidings.broker.wire.session import connected
from tidings.delivery.delay import Delay
from tidings.delivery.errors import BrokerUnavailable
from tidings.settings import BrokerSettings
from tidings_local.management import Management as Administrator

TIMEOUT = 10.0
SETTLE = 1.0
"""Seconds: nothing is published meanwhile, so older statistics say the same."""

LAYOUT = topology({"email": [Delay(60), Delay(120)]})


@pytest.fixture
def settings(broker_url: str, broker_address: BrokerAddress) -> BrokerSettings:
    return BrokerSettings(amqp_url=broker_url, management_url=broker_address.management_url)


@pytest.fixture
async def connection(settings: BrokerSettings) -> AsyncIterator[AbstractConnection]:
    async with connected(settings, "test") as connection:
        yield connection


@pytest.fixture
def api(settings: BrokerSettings) -> Management:
    return Management.of(settings)


async def publish(connection: AbstractConnection, exchange: str, key: str, count: int = 1) -> None:
    channel = await open_channel(connection, TIMEOUT)
    for _ in range(count):
        await channel.basic_publish(b"{}", exchange=exchange, routing_key=key, mandatory=True)
    await channel.close()


async def declare_queue(connection: AbstractConnection, name: str, **arguments: str | int) -> None:
    channel = await open_channel(connection, TIMEOUT)
    await channel.queue_declare(name, durable=True, arguments=dict(arguments))
    await channel.close()


def named(found: tuple[Depth, ...], name: str) -> Depth:
    return next(depth for depth in found if depth.queue == name)


async def test_what_was_declared_differs_in_nothing(
    connection: AbstractConnection, api: Management
) -> None:
    await declare(connection, LAYOUT, TIMEOUT)
    assert await differences(connection, LAYOUT, TIMEOUT) == ()
    assert list(unbound(LAYOUT, await api.bindings())) == []
    assert list(leftovers(LAYOUT, await api.queues())) == []


async def test_on_an_empty_virtual_host_all_is_missing_and_looking_makes_none_of_it(
    connection: AbstractConnection, api: Management
) -> None:
    found = await differences(connection, LAYOUT, TIMEOUT)
    assert {difference.kind for difference in found} == {Kind.MISSING}
    names = [thing.name for thing in LAYOUT.exchanges] + [thing.name for thing in LAYOUT.queues]
    assert [difference.name for difference in found] == names
    assert await api.queues() == ()
    assert [depth.messages for depth in await depths(connection, LAYOUT, TIMEOUT)] == [None] * 7


async def test_another_argument_is_named_with_both_its_values(
    connection: AbstractConnection,
) -> None:
    lane = {**next(q for q in LAYOUT.queues if q.name == "tidings.email.low").arguments}
    await declare_queue(connection, "tidings.email.low", **{**lane, "x-delivery-limit": 3})
    delay = {**next(q for q in LAYOUT.queues if q.name.endswith("1m")).arguments}
    await declare_queue(connection, "tidings.email.retry.1m", **delay, **{"x-max-length": 5})
    channel = await open_channel(connection, TIMEOUT)
    await channel.exchange_declare("tidings.retry", exchange_type="direct", durable=True)
    found = {
        difference.name: difference for difference in await differences(connection, LAYOUT, TIMEOUT)
    }
    assert found["tidings.email.low"] == Difference(
        Kind.DIFFERENT, "tidings.email.low", "x-delivery-limit is 3 in RabbitMQ and has to be 20"
    )
    assert (
        found["tidings.email.retry.1m"].detail == "x-max-length is 5 in RabbitMQ and has to be none"
    )
    assert found["tidings.retry"].detail == "type is direct in RabbitMQ and has to be topic"


async def test_a_missing_binding_is_named_with_its_key(
    connection: AbstractConnection, api: Management
) -> None:
    await declare(connection, LAYOUT, TIMEOUT)
    channel = await open_channel(connection, TIMEOUT)
    await channel.queue_unbind("tidings.email.low", "tidings.notifications", "email.low.#")
    await channel.queue_unbind("tidings.dead", "tidings.dead", "")
    assert list(unbound(LAYOUT, await api.bindings())) == [
        Difference(
            Kind.UNBOUND,
            "tidings.email.low",
            "it is not bound to tidings.notifications with key email.low.#",
        ),
        Difference(Kind.UNBOUND, "tidings.dead", "it is not bound to tidings.dead without a key"),
    ]


async def test_a_depth_counts_what_waits_and_who_takes_it(connection: AbstractConnection) -> None:
    await declare(connection, LAYOUT, TIMEOUT)
    await publish(connection, "tidings.notifications", "email.low", 3)
    channel = await open_channel(connection, TIMEOUT)

    async def take(_: object) -> None:
        return

    await channel.basic_consume("tidings.email.high", take)
    found = await depths(connection, LAYOUT, TIMEOUT)
    assert [depth.queue for depth in found] == [queue.name for queue in LAYOUT.queues]
    low = named(found, "tidings.email.low")
    assert (low.messages, low.consumers) == (3, 0)
    assert named(found, "tidings.email.high").consumers == 1
    assert all(depth.purpose for depth in found)


async def test_the_server_says_what_it_is(connection: AbstractConnection) -> None:
    broker = server(connection)
    assert broker.product == "RabbitMQ"
    assert broker.release >= (3, 10)
    assert {"publisher_confirms", "consumer_cancel_notify"} <= broker.capabilities


async def test_feature_flags_are_told(api: Management) -> None:
    assert (await api.feature_flags())["quorum_queue"]


async def test_a_user_who_may_not_declare_is_told_so(
    connection: AbstractConnection, management: Administrator, settings: BrokerSettings
) -> None:
    await declare(connection, LAYOUT, TIMEOUT)
    await management.create_user("reader", "secret")
    await management.allow("reader", configure="", write="", read=".*")
    url = settings.urls[0].split("@")[1]
    weak = BrokerSettings(amqp_url=f"amqp://reader:secret@{url}")
    async with connected(weak, "test") as theirs:
        found = await differences(theirs, LAYOUT, TIMEOUT)
        with pytest.raises(BrokerUnavailable, match="management"):
            await Management.of(
                BrokerSettings(
                    amqp_url=f"amqp://reader:secret@{url}",
                    management_url=settings.management.replace(
                        settings.management.split("//")[1].split("@")[0], "reader:secret"
                    ),
                )
            ).queues()
    assert {difference.kind for difference in found} == {Kind.FORBIDDEN}
    assert "refused" in found[0].detail


async def test_a_leftover_tier_is_deleted_and_nothing_else_is(
    connection: AbstractConnection, api: Management
) -> None:
    await declare(connection, LAYOUT, TIMEOUT)
    await declare_queue(connection, "tidings.email.retry.later")
    await declare_queue(connection, "tidings.reports.nightly")
    await declare_queue(connection, "somebody.elses.retry.1m")
    await counted(api, "tidings.email.retry.2m", 0)
    smaller = topology({"email": [Delay(60)]})
    cut: list[int] = []
    pruner = Pruner(connection, api, TIMEOUT, settle=SETTLE, report=cut.append)
    assert await pruner.prune(smaller) == (Pruned("tidings.email.retry.2m", True, ""),)
    assert cut == [1]
    left = {queue.name for queue in await api.queues()}
    assert left == {
        *(queue.name for queue in smaller.queues),
        "tidings.email.retry.later",
        "tidings.reports.nightly",
        "somebody.elses.retry.1m",
    }
    assert await pruner.prune(smaller) == ()


async def test_a_tier_that_holds_messages_is_kept_and_stays_bound(
    connection: AbstractConnection, api: Management
) -> None:
    await declare(connection, LAYOUT, TIMEOUT)
    await publish(connection, "tidings.retry", "email.low.2m", 2)
    await counted(api, "tidings.email.retry.2m", 2)
    smaller = topology({"email": [Delay(60)]})
    (pruned,) = await Pruner(connection, api, TIMEOUT, settle=0).prune(smaller)
    assert not pruned.deleted
    assert "2 messages" in pruned.why
    await publish(connection, "tidings.retry", "email.low.2m")


async def test_a_message_that_arrives_at_the_last_moment_saves_its_tier(
    connection: AbstractConnection, api: Management
) -> None:
    """What the statistics do not show yet, the queue itself does."""
    await declare(connection, LAYOUT, TIMEOUT)
    await counted(api, "tidings.email.retry.2m", 0)
    await publish(connection, "tidings.retry", "email.low.2m")
    smaller = topology({"email": [Delay(60)]})
    (pruned,) = await Pruner(connection, api, TIMEOUT, settle=0).prune(smaller)
    assert not pruned.deleted
    await publish(connection, "tidings.retry", "email.low.2m")
    found = await depths(connection, LAYOUT, TIMEOUT)
    assert named(found, "tidings.email.retry.2m").messages == 2


async def test_a_tier_whose_messages_their_lane_has_not_taken_yet_looks_empty_and_is_kept(
    connection: AbstractConnection, api: Management, management: Administrator
) -> None:
    """AMQP counts no message there, and deleting the queue would lose them all."""
    layout = topology({"email": [Delay(1)]})
    await declare(connection, layout, TIMEOUT)
    await management.set_policy(
        "full", "^tidings.email.low$", {"max-length": 1, "overflow": "reject-publish"}
    )
    await fill(connection, "email.low")
    await publish(connection, "tidings.retry", "email.low.1s", 3)
    await emptied(connection, layout, "tidings.email.retry.1s")
    await counted(api, "tidings.email.retry.1s", 3)
    (pruned,) = await Pruner(connection, api, TIMEOUT, settle=0).prune(topology({"email": []}))
    assert not pruned.deleted
    assert "3 messages" in pruned.why


async def test_pruning_that_is_interrupted_leaves_the_tiers_bound(
    connection: AbstractConnection, api: Management
) -> None:
    await declare(connection, LAYOUT, TIMEOUT)
    await counted(api, "tidings.email.retry.2m", 0)
    cut = asyncio.Event()
    pruner = Pruner(connection, api, TIMEOUT, settle=60, report=lambda _: cut.set())
    pruning = asyncio.create_task(pruner.prune(topology({"email": [Delay(60)]})))
    async with asyncio.timeout(10):
        await cut.wait()
    pruning.cancel()
    with suppress(asyncio.CancelledError):
        await pruning
    await publish(connection, "tidings.retry", "email.low.2m")


async def test_a_broker_that_is_not_there_is_told_with_every_address(unused_tcp_port: int) -> None:
    url = f"amqp://127.0.0.1:{unused_tcp_port}"
    settings = BrokerSettings(amqp_url=f"{url},{url}/other", management_url="http://127.0.0.1:1")
    with pytest.raises(BrokerUnavailable, match=rf"{unused_tcp_port}.*{unused_tcp_port}"):
        async with connected(settings, "test"):
            pass
    with pytest.raises(BrokerUnavailable, match="is unavailable"):
        await Management.of(settings).queues()


async def counted(api: Management, name: str, messages: int) -> None:
    """Wait until RabbitMQ's statistics show that many."""

    async def shown() -> bool:
        return {listed.name: listed.messages for listed in await api.queues()}.get(name) == messages

    await eventually(shown, within=20)


async def emptied(connection: AbstractConnection, layout: Topology, name: str) -> None:
    async def empty() -> bool:
        return named(await depths(connection, layout, TIMEOUT), name).messages == 0

    await eventually(empty, within=20)


async def fill(connection: AbstractConnection, key: str) -> None:
    """Publish until the lane takes no more."""
    async with asyncio.timeout(20):
        with suppress(AMQPError):
            while True:
                await publish(connection, "tidings.notifications", key)
