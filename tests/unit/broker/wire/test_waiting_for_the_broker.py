"""What the errors of the broker's clients become, and what of them is told."""

import asyncio

import pytest
from aiormq.exceptions import ChannelPreconditionFailed

from tidings.broker.wire.amqp import CONNECTION_ERRORS, broker_errors, explain
from tidings.delivery.errors import BrokerUnavailable, ConfigurationError


@pytest.mark.parametrize("kind", CONNECTION_ERRORS)
async def test_whatever_the_clients_raise_is_one_error(kind: type[Exception]) -> None:
    with pytest.raises(BrokerUnavailable), broker_errors():
        raise kind("gone")


async def test_the_bare_exception_that_aiormq_raises_is_the_same_error() -> None:
    with pytest.raises(BrokerUnavailable, match="the connection was lost"), broker_errors():
        raise Exception  # noqa: TRY002  # what aiormq raises where a connection ends without a reason


async def test_a_mistake_of_our_own_stays_what_it_is() -> None:
    with pytest.raises(KeyError), broker_errors():
        raise KeyError


async def test_errors_of_ours_pass() -> None:
    with pytest.raises(ConfigurationError), broker_errors():
        raise ConfigurationError("x-message-ttl differs")


async def test_being_cancelled_by_the_client_is_no_cancellation_of_ours() -> None:
    with pytest.raises(BrokerUnavailable, match="the connection was lost"), broker_errors():
        raise asyncio.CancelledError


async def test_being_cancelled_ourselves_is_one() -> None:
    async def wait_for_ever() -> None:
        with broker_errors():
            await asyncio.Event().wait()

    task = asyncio.create_task(wait_for_ever())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("error", "reported"),
    [
        (TimeoutError(), "no answer in time"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (RuntimeError(), "RuntimeError"),
        (ChannelPreconditionFailed("inequivalent arg"), "ChannelPreconditionFailed: inequiv"),
        (BrokerUnavailable("localhost:5672: no answer"), "localhost:5672: no answer"),
    ],
)
def test_an_error_is_told_in_a_line_with_its_type_where_it_has_no_words(
    error: Exception, reported: str
) -> None:
    assert reported in explain(error)
    assert "\n" not in explain(error)
