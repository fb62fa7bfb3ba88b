"""One look at a time, shared, and kept for a moment."""

import asyncio

import pytest

from tidings.runtime.shared_look import SharedLook, SharedLooks


class Looks:
    """Counts looks; each ends when it is let go."""

    def __init__(self) -> None:
        self.now, self.begun, self.go = 0.0, 0, asyncio.Event()
        self.fault: Exception | None = None
        self.shared = SharedLook[int](2.0, clock=lambda: self.now)

    async def look(self) -> int:
        self.begun += 1
        number = self.begun
        await self.go.wait()
        if self.fault is not None:
            raise self.fault
        return number

    async def get(self) -> int:
        return await self.shared.get(self.look)


async def test_all_who_ask_at_once_share_one_look_and_one_who_goes_takes_nothing_away() -> None:
    looks = Looks()
    first, *others = (asyncio.create_task(looks.get()) for _ in range(5))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    looks.go.set()
    assert await asyncio.gather(*others) == [1] * 4
    assert first.cancelled()


async def test_a_result_is_kept_for_a_moment() -> None:
    looks = Looks()
    looks.go.set()
    assert await looks.get() == 1
    looks.now = 1.9
    assert await looks.get() == 1
    looks.now = 2.0
    assert await looks.get() == 2


async def test_a_failure_is_shared_and_not_kept() -> None:
    looks = Looks()
    looks.go.set()
    looks.fault = ConnectionError("away")
    failed = await asyncio.gather(looks.get(), looks.get(), return_exceptions=True)
    assert failed == [looks.fault] * 2
    looks.fault = None
    assert (await looks.get(), looks.begun) == (2, 2)


async def test_a_look_that_was_cancelled_is_begun_again() -> None:
    looks = Looks()
    waiting = asyncio.create_task(looks.get())
    while not looks.begun:
        await asyncio.sleep(0)
    (looking,) = (task for task in asyncio.all_tasks() if task.get_name() == "shared look")
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    looks.go.set()
    assert await looks.get() == 2


async def test_who_has_no_patience_gets_what_was_seen_last_while_the_look_goes_on() -> None:
    looks = Looks()
    looks.go.set()
    assert await looks.get() == 1
    looks.now = 5.0
    looks.go.clear()
    assert await looks.shared.recent(looks.look, 0.01, most=30.0) == 1
    looks.go.set()
    assert await looks.get() == 2


async def test_what_was_seen_too_long_ago_is_not_shown() -> None:
    looks = Looks()
    with pytest.raises(TimeoutError):
        await looks.shared.recent(looks.look, 0.001, most=30.0)
    looks.go.set()
    assert await looks.get() == 1
    looks.now = 31.0
    looks.go.clear()
    with pytest.raises(TimeoutError):
        await looks.shared.recent(looks.look, 0.001, most=30.0)


async def test_a_look_that_nobody_waits_for_is_seen_by_those_who_come_later() -> None:
    looks = Looks()
    assert looks.shared.last(30.0) is None
    looks.go.set()
    assert await looks.shared.begin(looks.look) == 1
    looks.now = 5.0
    assert (looks.shared.last(5.0), looks.shared.last(4.0)) == (1, None)
    await looks.shared.begin(looks.look)
    assert looks.shared.last(0.0) == 2


async def test_after_a_failure_nothing_is_shown_of_before() -> None:
    looks = Looks()
    looks.go.set()
    assert await looks.get() == 1
    looks.now = 5.0

    async def fail() -> int:
        raise OSError("away")

    with pytest.raises(OSError, match="away"):
        await looks.shared.begin(fail)
    assert looks.shared.last(30.0) is None


async def test_what_was_seen_lately_is_shown_at_once_and_the_first_look_is_waited_for() -> None:
    looks = Looks()
    first = asyncio.create_task(looks.shared.soon(looks.look, 0.001, most=10.0))
    await asyncio.sleep(0.01)
    looks.go.set()
    assert await first == 1
    looks.now = 9.0
    looks.go.clear()
    assert await looks.shared.soon(looks.look, 0.001, most=10.0) == 1
    looks.now = 11.0
    third = asyncio.create_task(looks.shared.soon(looks.look, 0.001, most=10.0))
    await asyncio.sleep(0.01)
    looks.go.set()
    assert (await third, looks.begun) == (2, 2)


async def test_nobody_waits_where_the_last_look_took_too_long() -> None:
    looks = Looks()
    looks.go.set()
    assert await looks.shared.soon(looks.look, 1.0, most=10.0) == 1
    looks.go.clear()
    looks.now = 3.0
    second = asyncio.create_task(looks.get())
    await asyncio.sleep(0)
    looks.now, patience = 5.0, 1.5
    looks.go.set()
    assert await second == 2  # it took two seconds
    looks.now = 22.0
    assert await looks.shared.soon(looks.look, patience, most=30.0) == 2
    assert looks.begun == 2
    looks.now = 24.0
    looks.go.clear()
    assert await asyncio.wait_for(looks.shared.soon(looks.look, patience, most=30.0), 1.0) == 2
    looks.go.set()
    assert await looks.get() == 3
    looks.now = 29.0
    assert await looks.shared.soon(looks.look, patience, most=30.0) == 4


def test_what_nobody_has_looked_at_for_longest_is_forgotten() -> None:
    looks = SharedLooks[int](2)
    first, second = looks.at("first", 1.0), looks.at("second", 1.0)
    assert looks.at("first", 1.0) is first
    looks.at("third", 1.0)
    assert looks.at("first", 1.0) is first
    assert looks.at("second", 1.0) is not second
