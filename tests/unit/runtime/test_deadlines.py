"""Who keeps no time is given up, and nobody else's cancellation is taken for it."""

import asyncio

import pytest

from tidings.runtime.deadlines import Deadlines


async def forever() -> None:
    await asyncio.Event().wait()


async def test_work_that_keeps_its_time_is_left_alone() -> None:
    overtime = Deadlines(look=0.01)

    async def work() -> str:
        await asyncio.sleep(0.05)
        return "done"

    assert await overtime.within(5.0, work()) == "done"


async def test_work_that_does_not_is_given_up_and_the_task_goes_on() -> None:
    overtime = Deadlines(look=0.01)

    for _ in range(2):
        with pytest.raises(TimeoutError):
            await overtime.within(0.02, forever())

    await asyncio.sleep(0)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_who_is_cancelled_by_somebody_else_stays_cancelled() -> None:
    overtime = Deadlines(look=0.01)
    task = asyncio.create_task(overtime.within(5.0, forever()))
    await asyncio.sleep(0)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_was_asked_to_stop_and_ended_well_all_the_same_counts() -> None:
    overtime = Deadlines(look=0.01)

    async def stubborn() -> str:
        try:
            await forever()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
        return "sent after all"

    assert await overtime.within(0.02, stubborn()) == "sent after all"
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_nobody_looks_where_there_is_no_work() -> None:
    overtime = Deadlines(look=0.01)
    await overtime.within(5.0, asyncio.sleep(0))

    async with asyncio.timeout(5):
        while overtime.watching:
            await asyncio.sleep(0.005)
