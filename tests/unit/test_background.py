"""How long is waited between tries, and that what goes on for ever can be ended."""

import asyncio

import pytest

from tidings import background
from tidings.background import Backoff, end


def test_waits_double_up_to_the_longest_each_shortened_by_at_most_half() -> None:
    backoff = Backoff(longest=5, first=0.25)
    for expected in (0.25, 0.5, 1, 2, 4, 5, 5, 5):
        assert expected / 2 <= backoff.next() <= expected


def test_waits_are_not_the_same_for_everybody() -> None:
    assert len({Backoff(longest=5).next() for _ in range(20)}) > 1


def test_after_a_success_the_shortest_wait_comes_again() -> None:
    backoff = Backoff(longest=5, first=0.25)
    for _ in range(10):
        backoff.next()
    backoff.reset()
    assert backoff.next() <= 0.25


def test_after_days_of_outage_the_wait_is_still_the_longest() -> None:
    backoff = Backoff(longest=30)
    assert all(backoff.next() <= 30 for _ in range(5_000))


async def test_a_task_that_an_error_made_forget_its_cancellation_is_cancelled_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(background, "_INSIST", 0.05)
    leaving = []

    async def goes_on() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                leaving.append(1)
                if len(leaving) == 3:
                    raise

    task = asyncio.create_task(goes_on())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await end(task)

    assert task.cancelled()
    assert len(leaving) == 3


async def test_how_it_ended_does_not_matter_to_who_ends_it() -> None:
    async def breaks() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ConnectionError("gone")

    task = asyncio.create_task(breaks())
    await asyncio.sleep(0)
    await end(task)

    assert isinstance(task.exception(), ConnectionError)


async def test_what_has_ended_already_is_ended() -> None:
    task = asyncio.create_task(asyncio.sleep(0))
    await task
    await end(task)
    assert not task.cancelled()
