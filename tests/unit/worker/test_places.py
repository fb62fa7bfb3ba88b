"""No more are claimed ahead than places fall free while a claim takes."""

import asyncio

import pytest

from tidings.worker.places import Place, Places


def nobody() -> None:
    """Nobody waits."""


async def places(most: int, *, claiming: float, sending: float) -> Places:
    """Places whose claims and sends take so many seconds."""
    made = Places(most, nobody)
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
    assert (await places(most, claiming=claiming, sending=sending)).ahead == ahead


async def test_nobody_is_claimed_ahead_until_a_send_is_known() -> None:
    made = Places(100, nobody)
    await made.take(1.0)

    assert made.ahead == 0


async def test_room_is_for_the_places_and_for_those_ahead() -> None:
    made = await places(4, claiming=0.01, sending=0.01)

    for _ in range(6):
        assert made.room(ahead=True)
        made.begin()

    assert not made.room(ahead=True)
    assert not made.room(ahead=False)


async def test_places_are_taken_in_the_order_of_asking_and_given_back_once() -> None:
    made, order = Places(1, nobody), list[int]()
    first = made.begin()
    await first.take()

    async def wait(number: int, place: Place) -> None:
        await place.take()
        order.append(number)
        place.release()

    waiting = [asyncio.create_task(wait(number, made.begin())) for number in range(3)]
    await asyncio.sleep(0)
    assert (made.begun, made.taken, order) == (4, 1, [])
    first.release()
    first.release()
    await asyncio.gather(*waiting)

    assert (made.begun, made.taken, order) == (0, 0, [0, 1, 2])
