"""No more are claimed ahead than slots fall free while a claim takes."""

import asyncio

import pytest

from tidings.worker.send_slots import NoSlot, SendSlot, SendSlots


def no_waiter() -> None:
    """No message waits."""


async def slots(most: int, *, claiming: float, sending: float) -> SendSlots:
    """SendSlots whose claims and sends take so many seconds."""
    made = SendSlots(most, no_waiter)
    for _ in range(100):
        await made.take(claiming)
        made.give_back(sending)
    return made


@pytest.mark.parametrize(
    ("most", "claiming", "sending", "ahead"),
    [
        (100, 0.010, 0.100, 20),  # twice what falls due on average
        (100, 0.010, 30.0, 1),
        (100, 0.010, 0.010, 50),  # never more than half
        (100, 0.010, 0.0, 0),
        (1, 0.010, 0.010, 0),
    ],
)
async def test_as_many_are_claimed_ahead_as_fall_due(
    most: int, claiming: float, sending: float, ahead: int
) -> None:
    assert (await slots(most, claiming=claiming, sending=sending)).ahead == ahead


async def test_nobody_is_claimed_ahead_until_a_send_is_known() -> None:
    made = SendSlots(100, no_waiter)
    await made.take(1.0)

    assert made.ahead == 0


async def test_room_is_for_the_places_and_for_those_ahead() -> None:
    made = await slots(4, claiming=0.01, sending=0.01)

    for _ in range(6):
        assert made.room(ahead=True)
        made.begin()

    assert not made.room(ahead=True)
    assert not made.room(ahead=False)


async def test_places_are_taken_in_the_order_of_asking_and_given_back_once() -> None:
    made, order = SendSlots(1, no_waiter), list[int]()
    first = made.begin()
    await first.take()

    async def wait(number: int, slot: SendSlot) -> None:
        await slot.take()
        order.append(number)
        slot.release()

    waiting = [asyncio.create_task(wait(number, made.begin())) for number in range(3)]
    await asyncio.sleep(0)
    assert (made.begun, made.taken, order) == (4, 1, [])
    first.release()
    first.release()
    await asyncio.gather(*waiting)

    assert (made.begun, made.taken, order) == (0, 0, [0, 1, 2])


@pytest.mark.parametrize("moment", ["while it waits", "as a slot is handed on"])
async def test_a_place_is_never_lost_with_somebody_who_is_cancelled(moment: str) -> None:
    made = SendSlots(1, no_waiter)
    first, second, third = made.begin(), made.begin(), made.begin()
    await first.take()
    cancelled, waits = [asyncio.create_task(slot.take()) for slot in (second, third)]
    await asyncio.sleep(0)

    if moment == "while it waits":
        cancelled.cancel()
        first.release()
    else:
        first.release()
        cancelled.cancel()

    async with asyncio.timeout(5):
        await waits
    assert cancelled.cancelled()
    assert made.taken == 1


async def test_whoever_gets_a_place_after_they_are_closed_hands_it_on() -> None:
    made = SendSlots(1, no_waiter)
    first, second, third = made.begin(), made.begin(), made.begin()
    await first.take()
    waiting = [asyncio.create_task(slot.take()) for slot in (second, third)]
    await asyncio.sleep(0)

    made.closed = True
    first.release()

    async with asyncio.timeout(5):
        answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(answer) for answer in answers] == [NoSlot, NoSlot]
    assert made.taken == 0


async def test_whoever_gave_its_place_away_says_so_when_it_is_over() -> None:
    freed: list[tuple[int, int]] = []
    made = SendSlots(1, lambda: freed.append((made.begun, made.aside)))
    slot = made.begin()
    await slot.take()

    slot.release_slot()
    slot.release()
    slot.release()

    assert freed == [(0, 1), (0, 0)]
