"""How long is waited between tries, and that what goes on for ever can be ended."""

import asyncio
import threading

import pytest

from tidings.runtime import background
from tidings.runtime.background import BackgroundTask, end, in_a_thread
from tidings.runtime.backoff import Backoff


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


@pytest.mark.parametrize("ending", ["an error", "somebody else's cancellation", "its own end"])
async def test_a_task_that_ends_is_begun_again_and_tells_meanwhile_that_it_is_not_well(
    ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Backoff, "next", lambda _: 0.05)
    begun = 0
    goes_on = asyncio.Event()

    async def work() -> None:
        nonlocal begun
        begun += 1
        if begun == 1 and ending == "an error":
            raise KeyError
        if begun == 1 and ending == "somebody else's cancellation":
            raise asyncio.CancelledError
        if begun > 1:
            goes_on.set()
            await asyncio.Event().wait()

    task = BackgroundTask("task", work)
    assert task.healthy
    async with asyncio.timeout(5):
        while task.healthy:
            await asyncio.sleep(0)
        await goes_on.wait()
    assert task.healthy
    await task.end()


async def test_what_ends_in_a_thread_of_its_own_is_told_to_whoever_waits() -> None:
    assert await in_a_thread("count", lambda: 1 + 1) == 2
    with pytest.raises(ZeroDivisionError):
        await in_a_thread("divide", lambda: 1 / 0)


async def test_nobody_waits_for_such_a_thread_that_was_given_up() -> None:
    let_go = threading.Event()
    waiting = asyncio.create_task(in_a_thread("hang", let_go.wait))
    await asyncio.sleep(0)

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    let_go.set()
