"""Protections of queues, exchanges and routes, and `tidings` without each of them."""

from typing import Any

import structlog
from tests.chaos.mutants import mutant, set_on

from tidings.broker import consumer
from tidings.broker.topology import layout
from tidings.broker.wire.confirms import ConfirmingChannel
from tidings.delivery.errors import (
    MalformedNotification,
    Misrouted,
)
from tidings.worker import flow

log = structlog.get_logger(__name__)


@mutant
def not_mandatory() -> None:
    """Publish without asking to hear of what leads nowhere."""
    usual = ConfirmingChannel.basic_publish

    async def publish(self: Any, *args: Any, **more: Any) -> Any:
        return await usual(self, *args, **{**more, "mandatory": False})

    set_on(ConfirmingChannel, "basic_publish", publish)


@mutant
def single_replica() -> None:
    """Keep each queue on one node."""
    usual = layout._quorum
    set_on(
        layout,
        "_quorum",
        lambda **arguments: usual(**arguments, **{"x-quorum-initial-group-size": 1}),
    )


@mutant
def at_most_once_tiers() -> None:
    """Dead-letter as RabbitMQ does where nothing is said: at most once."""
    _without("x-dead-letter-strategy")


@mutant
def no_dead_letter_exchange() -> None:
    """Let RabbitMQ drop what was handed out too often."""
    _without("x-dead-letter-exchange", only_where="x-delivery-limit")


def _without(argument: str, only_where: str = "") -> None:
    usual = layout._quorum

    def quorum(**arguments: Any) -> dict[str, Any]:
        made = usual(**arguments)
        if only_where in made or not only_where:
            made.pop(argument, None)
            made.pop("x-dead-letter-strategy", None)
        return made

    set_on(layout, "_quorum", quorum)


@mutant
def no_redeclare() -> None:
    """Don't make a queue again that is gone."""

    async def nothing(self: Any, queue: str) -> None:
        del self, queue

    set_on(consumer.Consumer, "_declare_again", nothing)


@mutant
def lane_by_routing_key() -> None:
    """Take the lane from the routing key, and refuse what contradicts it."""
    usual = flow.read

    def read(message: Any, lane: Any, **rest: Any) -> Any:
        channel, priority, *_ = [*message.routing_key.split("."), ""]
        try:
            return usual(message, type(lane)(channel, priority), **rest)
        except Misrouted as error:
            raise MalformedNotification(*error.problems) from None

    set_on(flow, "read", read)


@mutant
def tiers_by_number() -> None:
    """Name retry queues by their place instead of their delay."""
    usual = layout.retry_queue

    def numbered(channel: str, delay: Any) -> str:
        if channel != "email" or delay.seconds not in (2, 3):
            return usual(channel, delay)
        return "tidings.email.retry.second"

    set_on(layout, "retry_queue", numbered)
