"""What can't be done is done again, for as long as the message is ours."""

from dataclasses import dataclass

import pytest
from tests.support.attempts import message_of

from tidings.broker.consumer import BrokerDelivery
from tidings.broker.wire.settlement import Settlement
from tidings.delivery.errors import (
    BrokerUnavailable,
    ConfigurationError,
    LedgerUnavailable,
    TidingsError,
)
from tidings.worker.outages import DeliveryLost, retry_outages


@dataclass
class AChannel:
    """As much of the client's channel as a delivery asks."""

    is_closed: bool = False


def delivery(channel: AChannel) -> BrokerDelivery:
    settlement = Settlement(channel)  # type: ignore[arg-type]  # never flushed
    return BrokerDelivery(message_of(), "tidings.email.normal", "", False, 1, settlement)


AWAY = [LedgerUnavailable("no answer"), BrokerUnavailable("blocked"), ConfigurationError("tables")]


@pytest.mark.parametrize("error", AWAY)
async def test_it_is_done_again_until_it_succeeds(error: TidingsError) -> None:
    left = [error, error]

    async def work() -> str:
        if left:
            raise left.pop()
        return "done"

    assert await retry_outages(delivery(AChannel()), work) == "done"
    assert not left


@pytest.mark.parametrize("error", AWAY)
async def test_a_message_that_the_broker_took_back_is_abandoned(error: TidingsError) -> None:
    async def work() -> None:
        raise error

    with pytest.raises(DeliveryLost):
        await retry_outages(delivery(AChannel(is_closed=True)), work)


async def test_what_succeeds_is_done_even_where_the_broker_took_the_message_back() -> None:
    async def work() -> str:
        return "recorded"

    assert await retry_outages(delivery(AChannel(is_closed=True)), work) == "recorded"


async def test_it_is_given_up_once_the_channel_is_lost_meanwhile() -> None:
    channel, tries = AChannel(), 0

    async def work() -> None:
        nonlocal tries
        tries += 1
        channel.is_closed = tries == 2
        raise LedgerUnavailable("no answer")

    with pytest.raises(DeliveryLost):
        await retry_outages(delivery(channel), work)
    assert tries == 2


async def test_what_nobody_else_knows_is_told_even_where_the_broker_took_the_message_back() -> None:
    left = [LedgerUnavailable("no answer")] * 2

    async def work() -> str:
        if left:
            raise left.pop()
        return "recorded"

    assert await retry_outages(delivery(AChannel(is_closed=True)), work, insist=True) == "recorded"


async def test_an_error_that_time_does_not_mend_is_raised_at_once() -> None:
    async def work() -> None:
        raise KeyError("ours")

    with pytest.raises(KeyError):
        await retry_outages(delivery(AChannel()), work)
