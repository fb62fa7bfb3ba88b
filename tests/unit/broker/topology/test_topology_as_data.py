"""The topology exactly as DESIGN §4 draws it, and as RabbitMQ's definitions."""

from collections import Counter

import pytest

from tidings.broker.topology.layout import (
    PRIORITIES,
    Binding,
    Exchange,
    Topology,
    lane_queue,
    retry_key,
    retry_queue,
    topology,
    topology_of,
)
from tidings.delivery.attempt import Lane
from tidings.delivery.delay import Delay
from tidings.settings import Settings

QUORUM = {"x-queue-type": "quorum", "x-overflow": "reject-publish"}
LANE = QUORUM | {
    "x-dead-letter-exchange": "tidings.dead",
    "x-dead-letter-strategy": "at-least-once",
    "x-delivery-limit": 20,
}
TIER = QUORUM | {
    "x-dead-letter-exchange": "tidings.notifications",
    "x-dead-letter-strategy": "at-least-once",
}


@pytest.fixture
def two_channels() -> Topology:
    return topology({"email": [Delay(60), Delay(120)], "sms": [Delay(5)]})


def test_there_are_four_exchanges(two_channels: Topology) -> None:
    assert two_channels.exchanges == (
        Exchange("tidings.notifications", "topic", {"alternate-exchange": "tidings.dead"}),
        Exchange("tidings.retry", "topic", {}),
        Exchange("tidings.dead", "fanout", {}),
        Exchange("tidings.inbox", "fanout", {}),
    )


def test_every_queue_has_exactly_its_arguments(two_channels: Topology) -> None:
    lanes = {
        f"tidings.{channel}.{priority}": LANE
        for channel in ("email", "sms")
        for priority in ("urgent", "high", "normal", "low")
    }
    queue_delays = {
        "tidings.email.retry.1m": TIER | {"x-message-ttl": 60_000},
        "tidings.email.retry.2m": TIER | {"x-message-ttl": 120_000},
        "tidings.sms.retry.5s": TIER | {"x-message-ttl": 5_000},
    }
    dead = {"tidings.dead": QUORUM | {"x-delivery-limit": 2_000_000_000}}
    assert {queue.name: dict(queue.arguments) for queue in two_channels.queues} == (
        lanes | queue_delays | dead
    )


def test_every_queue_is_bound_where_its_messages_come_from(two_channels: Topology) -> None:
    lanes = {
        Binding("tidings.notifications", f"tidings.{channel}.{priority}", f"{channel}.{priority}.#")
        for channel in ("email", "sms")
        for priority in PRIORITIES
    }
    queue_delays = {
        Binding("tidings.retry", "tidings.email.retry.1m", "email.*.1m"),
        Binding("tidings.retry", "tidings.email.retry.2m", "email.*.2m"),
        Binding("tidings.retry", "tidings.sms.retry.5s", "sms.*.5s"),
    }
    dead = {Binding("tidings.dead", "tidings.dead", "")}
    assert Counter(two_channels.bindings) == Counter(lanes | queue_delays | dead)


def test_at_least_once_dead_lettering_has_everything_without_which_it_silently_is_not(
    two_channels: Topology,
) -> None:
    for queue in two_channels.queues:
        assert queue.arguments["x-queue-type"] == "quorum"
        assert queue.arguments["x-overflow"] == "reject-publish"
        if "x-dead-letter-strategy" in queue.arguments:
            assert queue.arguments["x-dead-letter-exchange"]


def test_limits_that_operators_tune_are_no_arguments(two_channels: Topology) -> None:
    for queue in two_channels.queues:
        assert not {"x-max-length", "x-max-length-bytes", "x-expires"} & set(queue.arguments)


def test_names_are_told_in_one_place() -> None:
    lane = Lane("email", "high")
    assert lane_queue(lane) == "tidings.email.high"
    assert retry_queue("email", Delay(120)) == "tidings.email.retry.2m"
    assert retry_key(lane, Delay(120)) == "email.high.2m"


def test_urgent_comes_first() -> None:
    assert PRIORITIES == ("urgent", "high", "normal", "low")


def test_every_queue_says_what_waits_in_it(two_channels: Topology) -> None:
    purposes = [queue.purpose for queue in two_channels.queues]
    assert all(purposes)
    assert len(set(purposes)) == len(purposes)


def test_the_settings_topology_has_every_channel_with_the_tiers_of_its_policies() -> None:
    settings = Settings()
    made = topology_of(settings)
    assert made == topology({name: settings.delays(name) for name in settings.channels})
    assert {"tidings.email.retry.30m", "tidings.sms.retry.5s", "tidings.webhook.low"} <= {
        queue.name for queue in made.queues
    }


def test_the_definitions_say_the_same_for_the_virtual_host_slash(two_channels: Topology) -> None:
    definitions = two_channels.definitions()
    assert definitions["vhosts"] == [{"name": "/"}]
    assert [
        Exchange(exchange["name"], exchange["type"], exchange["arguments"])
        for exchange in definitions["exchanges"]
    ] == list(two_channels.exchanges)
    assert {queue["name"]: queue["arguments"] for queue in definitions["queues"]} == {
        queue.name: queue.arguments for queue in two_channels.queues
    }
    assert [
        Binding(binding["source"], binding["destination"], binding["routing_key"])
        for binding in definitions["bindings"]
    ] == list(two_channels.bindings)
    assert all(
        definition["durable"] and not definition["auto_delete"] and definition["vhost"] == "/"
        for kind in ("exchanges", "queues")
        for definition in definitions[kind]
    )
