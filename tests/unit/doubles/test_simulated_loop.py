"""Virtual time, drawn order, and processes that stop in the middle of a line."""

import asyncio
from collections.abc import Coroutine
from contextvars import copy_context
from random import Random
from typing import Any

import pytest
from tests.doubles.loop import PROCESS, Process, SimulatedLoop, Stuck


def loop_of(seed: int = 0, *, shuffle: bool = False) -> SimulatedLoop:
    return SimulatedLoop(Random(seed), shuffle=shuffle)  # type: ignore[abstract]  # only typeshed says so


def spawn(loop: SimulatedLoop, process: Process, work: Coroutine[Any, Any, None]) -> None:
    context = copy_context()
    context.run(PROCESS.set, process)
    loop.create_task(work, context=context)


def test_an_hour_passes_in_no_time() -> None:
    loop, events = loop_of(), []

    async def wait(seconds: float) -> None:
        await asyncio.sleep(seconds)
        events.append((seconds, loop.time()))

    for seconds in (3600.0, 1.0):
        spawn(loop, Process("a"), wait(seconds))
    loop.run(lambda: len(events) == 2, until=4000.0)
    assert events == [(1.0, 1.0), (3600.0, 3600.0)]


def test_a_process_that_is_killed_runs_nothing_more_and_the_others_go_on() -> None:
    loop, events = loop_of(), []
    first, other = Process("one"), Process("other")

    async def work(process: Process) -> None:
        try:
            while True:
                await asyncio.sleep(1.0)
                events.append((process.name, loop.time()))
                if loop.time() == 2.0:
                    first.alive = False
        finally:
            events.append((process.name, "finally"))

    spawn(loop, first, work(first))
    spawn(loop, other, work(other))
    loop.run(lambda: loop.time() >= 4.0, until=10.0)
    assert events == [
        *[("one", 1.0), ("other", 1.0), ("one", 2.0), ("other", 2.0)],
        *[("other", 3.0), ("other", 4.0)],
    ]
    loop.abandon()


def test_any_callback_that_is_ready_may_be_next_where_the_order_is_drawn() -> None:
    def order(seed: int, *, shuffle: bool) -> str:
        loop, events = loop_of(seed, shuffle=shuffle), []
        for letter in "abcd":
            loop.call_soon(events.append, letter)
        loop.run(lambda: True, until=1.0)
        return "".join(events)

    assert {order(seed, shuffle=False) for seed in range(20)} == {"abcd"}
    assert len({order(seed, shuffle=True) for seed in range(200)}) == 24
    assert order(5, shuffle=True) == order(5, shuffle=True)


def test_what_never_comes_to_rest_is_given_up() -> None:
    loop = loop_of()

    async def for_ever() -> None:
        while True:
            await asyncio.sleep(1.0)

    spawn(loop, Process("a"), for_ever())
    with pytest.raises(Stuck, match="not at rest"):
        loop.run(lambda: False, until=100.0)
    loop.abandon()


def test_what_fails_outside_of_any_task_is_kept() -> None:
    loop = loop_of()
    loop.call_soon(int, "no number")
    loop.run(lambda: True, until=1.0)
    assert "invalid literal" in loop.faults[0]
