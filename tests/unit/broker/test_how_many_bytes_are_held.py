"""One account of bytes for all queues: what finds no room is asked for again when there is."""

import asyncio
import gc
from collections.abc import Iterator

import pytest
from tests.support.worker_rig import eventually

from tidings.broker.consumer import Consumer, Subscription
from tidings.broker.memory_budget import MemoryBudget, Reservation

MIB = 1024 * 1024
QUEUES = ("urgent", "high", "normal", "low")


def account(mib: int = 64) -> MemoryBudget:
    made = MemoryBudget(mib * MIB)
    for rank, queue in enumerate(QUEUES):
        made.open(queue, rank)
    return made


def fill(made: MemoryBudget, queue: str, size: int) -> list[Reservation]:
    """As many of a size as there is room for."""
    held = []
    while (reservation := made.take(queue, size)) is not None:
        held.append(reservation)
    return held


class Waiting:
    """Messages that found no room, and which of them were asked for again."""

    def __init__(self, made: MemoryBudget) -> None:
        self.requeued: list[str] = []
        self.alive = True
        self._made = made

    def wait(self, queue: str, size: int, *, name: str = "", anyway: bool = False) -> None:
        def requeue() -> None:
            self.requeued.append(name or queue)

        self._made.wait(queue, size, requeue, lambda: self.alive, anyway=anyway)


@pytest.fixture
def collecting_by_hand() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


def leave_in_a_cycle(held: Reservation | None) -> None:
    """Only the garbage collector finds it."""
    assert held is not None
    cycle: list[object] = [held]
    cycle.append(cycle)


async def test_one_queue_holds_its_share_and_the_common_half() -> None:
    made = account()
    held = fill(made, "normal", 10 * MIB)
    assert len(held) == (32 + 8) // 10
    assert made.held <= made.plan


async def test_no_queue_is_kept_from_small_messages_by_the_others() -> None:
    made = account()
    large = [
        reservation for queue in ("low", "normal") for reservation in fill(made, queue, 5 * MIB)
    ]
    small = fill(made, "urgent", 100_000)
    assert sum(1 for _ in small) * 100_000 >= 7 * MIB
    assert made.held <= 64 * MIB
    assert large


async def test_a_message_beyond_the_account_is_held_alone() -> None:
    made = account(8)
    held = made.take("low", 20 * MIB)
    assert held is not None
    assert made.take("low", 20 * MIB) is None
    assert made.take("high", 20 * MIB) is None
    held.release()
    assert made.take("high", 20 * MIB) is not None


async def test_who_waited_longest_is_asked_for_first_when_there_is_room() -> None:
    made = account()
    held, waiting = fill(made, "low", 10 * MIB), Waiting(made)
    waiting.wait("normal", 38 * MIB, name="first")
    waiting.wait("normal", 12 * MIB, name="second")
    held.pop().release()
    assert waiting.requeued == []
    while held:
        held.pop().release()
    assert waiting.requeued == ["first"]
    assert made.take("low", 10 * MIB) is None, "the room of those who wait"
    kept = made.take("normal", 38 * MIB)
    assert kept is not None
    kept.release()
    assert waiting.requeued == ["first", "second"]


async def test_room_kept_for_a_small_message_is_no_room_for_a_large_one() -> None:
    made = account()
    held, waiting = fill(made, "low", 10 * MIB), Waiting(made)
    while (small := made.take("low", 20_000)) is not None:
        held.append(small)
    for _ in range(100):
        waiting.wait("low", 20_000)
    while held:
        held.pop().release()
    assert waiting.requeued == ["low"] * 100
    large = [made.take("low", 10 * MIB) for _ in range(100)]
    assert made.held <= made.plan
    assert made.take("low", 20_000) is not None
    assert any(large)


async def test_urgent_messages_pass_a_flood_of_another_queue() -> None:
    made = account()
    held, waiting = fill(made, "low", MIB), Waiting(made)
    fill_of_its_own = fill(made, "urgent", MIB)
    for _ in range(100):
        waiting.wait("low", MIB)
    for _ in range(5):
        waiting.wait("urgent", MIB)
    for reservation in held[:6]:
        reservation.release()
    assert waiting.requeued == ["urgent"] * 5 + ["low"]
    assert fill_of_its_own


async def test_a_subscription_says_how_urgent_its_messages_are() -> None:
    made = MemoryBudget(8 * MIB)
    subscriptions = [Subscription("late", 10, rank=3), Subscription("soon", 10, rank=1)]
    Consumer(subscriptions, lambda _: None, 5.0, memory_budget=made)
    held, waiting = made.take("late", 6 * MIB), Waiting(made)
    waiting.wait("late", 6 * MIB)
    waiting.wait("soon", 6 * MIB)
    assert held is not None
    held.release()
    assert waiting.requeued == ["soon"]


async def test_who_waits_longest_has_a_turn_among_the_urgent() -> None:
    made = account()
    held, waiting = fill(made, "high", 2 * MIB), Waiting(made)
    waiting.wait("low", 10 * MIB)
    for _ in range(40):
        waiting.wait("urgent", 10 * MIB)
    for _ in range(60):
        for _ in range(waiting.requeued.count("urgent") + waiting.requeued.count("low")):
            for queue in ("urgent", "low"):
                if (reservation := made.take(queue, 10 * MIB)) is not None:
                    held.append(reservation)
        if held:
            held.pop(0).release()
    assert waiting.requeued.index("low") <= 8


async def test_queues_of_one_priority_take_turns() -> None:
    made = MemoryBudget(64 * MIB)
    for queue in ("a", "b"):
        made.open(queue)
    held, waiting = fill(made, "a", 4 * MIB), Waiting(made)
    held += fill(made, "b", 4 * MIB)
    for queue in "aaaaaabbbbbb":
        waiting.wait(queue, 4 * MIB)
    for reservation in held:
        reservation.release()
    assert waiting.requeued[:6] in (["a", "b"] * 3, ["b", "a"] * 3)


async def test_a_queue_uses_its_share_whoever_waits_for_the_common_half() -> None:
    made = account()
    fillers, waiting = fill(made, "normal", MIB), Waiting(made)
    own = fill(made, "low", 4 * MIB)
    waiting.wait("urgent", 30 * MIB)
    waiting.wait("low", 4 * MIB)
    own.pop().release()
    assert waiting.requeued == ["low"]
    assert made.held <= 64 * MIB
    assert fillers


async def test_one_at_a_time_is_held_though_there_is_no_room() -> None:
    made = account()
    held, waiting = fill(made, "normal", MIB), Waiting(made)
    beyond = made.take("normal", 10 * MIB, anyway=True)
    assert beyond is not None
    assert made.take("normal", 10 * MIB, anyway=True) is None
    waiting.wait("urgent", 10 * MIB, name="patient")
    waiting.wait("low", 10 * MIB, name="insistent", anyway=True)
    waiting.wait("normal", 10 * MIB, name="other", anyway=True)
    assert waiting.requeued == []
    beyond.release()
    assert len(waiting.requeued) == 1
    assert "patient" not in waiting.requeued
    assert made.held <= 64 * MIB
    while held:
        held.pop().release()
    assert waiting.requeued[2:] == ["patient"]


async def test_room_is_kept_for_what_was_asked_for_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tidings.broker.memory_budget.PROMISED", 0.01)
    made = account()
    held, waiting = fill(made, "low", 10 * MIB), Waiting(made)
    waiting.wait("high", 32 * MIB)
    waiting.wait("normal", 32 * MIB)
    while held:
        held.pop().release()
    assert waiting.requeued == ["high"]
    await eventually(lambda: waiting.requeued == ["high", "normal"])


async def test_who_waits_on_a_channel_that_is_gone_holds_up_nobody() -> None:
    made = account()
    held, waiting = fill(made, "low", 10 * MIB), Waiting(made)
    waiting.wait("normal", 30 * MIB)
    waiting.alive = False
    held.pop().release()
    assert waiting.requeued == []
    assert made.take("urgent", 10 * MIB) is not None


async def test_what_nobody_knows_of_any_more_takes_no_room() -> None:
    made = account()
    held = made.take("low", 30 * MIB)
    del held
    await eventually(lambda: made.held == 0)


@pytest.mark.usefixtures("collecting_by_hand")
async def test_what_the_garbage_collector_finds_in_another_thread_makes_room() -> None:
    made = account()
    leave_in_a_cycle(made.take("low", 40 * MIB))
    waiting = Waiting(made)
    waiting.wait("low", 30 * MIB)
    await asyncio.to_thread(gc.collect)
    await eventually(lambda: waiting.requeued == ["low"])
    assert made.held == 0


@pytest.mark.usefixtures("collecting_by_hand")
async def test_each_is_asked_for_once_though_the_garbage_collector_finds_room_meanwhile() -> None:
    made, requeued = account(8), list[int]()
    first = made.take("low", 4 * MIB)
    leave_in_a_cycle(made.take("low", MIB))

    def asks(number: int) -> None:
        requeued.append(number)
        gc.collect()

    for number in range(2):
        made.wait("low", 2 * MIB, lambda number=number: asks(number), lambda: True)  # type: ignore[misc]
    assert first is not None
    first.release()
    await eventually(lambda: made.held == 0)
    assert requeued == [0, 1]


def test_what_is_left_of_a_loop_that_has_ended_is_nobodys() -> None:
    async def hold() -> Reservation | None:
        return account().take("low", MIB)

    held = asyncio.run(hold())
    assert held is not None
    del held  # an error in a finalizer would be a warning, and fail this
    gc.collect()


async def test_released_twice_it_counts_once() -> None:
    made = account()
    first, other = made.take("low", 10 * MIB), made.take("low", 10 * MIB)
    assert first is not None
    first.release()
    first.release()
    assert made.held == 10 * MIB
    del other
