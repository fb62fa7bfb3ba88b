"""Acks over one channel: few, soon, and never so late that the broker would hand over nothing more."""

import asyncio
from collections.abc import AsyncIterator
from time import monotonic

import pytest
from tests.support.worker_rig import eventually

from tidings.broker.consumer import BrokerDelivery
from tidings.broker.wire.settlement import INTERVAL, PATIENCE, Settlement
from tidings.delivery.attempt import Message


class AChannel:
    """Remembers what was acknowledged, and how."""

    is_closed = False

    def __init__(self) -> None:
        self.frames: list[tuple[int, bool]] = []

    async def basic_ack(self, tag: int, *, multiple: bool = False, wait: bool) -> None:
        assert not wait
        self.frames.append((tag, multiple))


class ASlowChannel(AChannel):
    """Takes a moment for each frame, as one does whose connection is busy."""

    async def basic_ack(self, tag: int, *, multiple: bool = False, wait: bool) -> None:
        await asyncio.sleep(0.002)
        await super().basic_ack(tag, multiple=multiple, wait=wait)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """So long that nothing goes for the time that it waited."""
    monkeypatch.setattr("tidings.broker.wire.settlement.PATIENCE", 60.0)


@pytest.fixture
def channel() -> AChannel:
    return AChannel()


@pytest.fixture
async def settlement(channel: AChannel) -> AsyncIterator[Settlement]:
    async with Settlement(channel) as made:  # type: ignore[arg-type]  # as much of it as is asked
        made.spare(10)
        yield made


async def test_what_finishes_in_order_is_one_frame(
    settlement: Settlement, channel: AChannel
) -> None:
    for tag in (1, 3, 2):
        settlement.ack(tag)
    await eventually(lambda: bool(channel.frames))
    assert channel.frames == [(3, True)]


async def test_behind_a_slow_one_acks_wait_for_it_a_while(
    settlement: Settlement, channel: AChannel
) -> None:
    began = monotonic()
    for tag in (2, 3, 4):
        settlement.ack(tag)
    await asyncio.sleep(PATIENCE / 2)
    settlement.ack(1)
    await eventually(lambda: bool(channel.frames))
    assert channel.frames == [(4, True)] or monotonic() - began > PATIENCE


async def test_behind_one_that_is_slower_than_that_they_go_singly(
    settlement: Settlement, channel: AChannel
) -> None:
    began = monotonic()
    for tag in (2, 3, 4):
        settlement.ack(tag)
    await eventually(lambda: bool(channel.frames))
    assert channel.frames == [(2, False), (3, False), (4, False)]
    assert PATIENCE * 0.9 <= monotonic() - began < 10 * PATIENCE


async def test_no_more_wait_than_there_are_to_spare(
    settlement: Settlement, channel: AChannel, patient: None
) -> None:
    for tag in range(2, 13):  # eleven, where ten would do
        settlement.ack(tag)
    await eventually(lambda: bool(channel.frames))
    assert len(channel.frames) == 11


async def test_a_batch_that_is_done_before_the_one_ahead_is_acknowledged_with_it(
    settlement: Settlement, channel: AChannel
) -> None:
    for tag in range(21, 41):  # more than there are to spare
        settlement.ack(tag)
    await asyncio.sleep(3 * INTERVAL)
    for tag in range(1, 21):
        settlement.ack(tag)
    await eventually(lambda: bool(channel.frames))
    assert channel.frames == [(40, True)]


async def test_with_nothing_to_spare_nothing_waits(
    settlement: Settlement, channel: AChannel, patient: None
) -> None:
    settlement.spare(0)
    settlement.ack(2)
    await eventually(lambda: bool(channel.frames))
    assert channel.frames == [(2, False)]


async def test_what_waits_goes_once_there_is_less_to_spare(
    settlement: Settlement, channel: AChannel, patient: None
) -> None:
    for tag in (2, 3):
        settlement.ack(tag)
    await asyncio.sleep(10 * INTERVAL)
    assert channel.frames == []
    settlement.spare(1)
    await eventually(lambda: bool(channel.frames))
    assert channel.frames == [(2, False), (3, False)]


async def test_closing_amid_many_acks_loses_none() -> None:
    channel = ASlowChannel()
    async with Settlement(channel) as settlement:  # type: ignore[arg-type]
        for tag in range(2, 52):
            settlement.ack(tag)
        await eventually(lambda: bool(channel.frames))
    assert channel.frames == [(tag, False) for tag in range(2, 52)]


class ABrokenChannel(AChannel):
    """Fails in a way that no client library is known to."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error = error

    async def basic_ack(self, tag: int, *, multiple: bool = False, wait: bool) -> None:
        raise self._error


@pytest.mark.parametrize("error", [KeyError(), asyncio.CancelledError()])
async def test_where_acks_can_t_be_sent_for_a_fault_of_ours_its_channel_is_given_up(
    error: BaseException,
) -> None:
    ended = asyncio.Event()
    async with Settlement(ABrokenChannel(error)) as settlement:  # type: ignore[arg-type]  # as above
        settlement.on_end(ended.set)
        assert settlement.alive
        settlement.ack(1)
        async with asyncio.timeout(5):
            await ended.wait()
        assert not settlement.alive


async def test_a_delivery_is_settled_once_whoever_tries_again(
    settlement: Settlement, channel: AChannel
) -> None:
    delivery = BrokerDelivery(Message(b"", ""), "", "", False, 1, settlement)
    delivery.ack()
    delivery.requeue()
    delivery.ack()
    await eventually(lambda: bool(channel.frames))
    assert channel.frames == [(1, True)]
