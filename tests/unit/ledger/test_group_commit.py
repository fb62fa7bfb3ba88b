"""Many callers, few statements: batches form under load, keep their order and share no one's fate."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from tidings.delivery.errors import ConfigurationError, LedgerUnavailable, RowsMoving, TidingsError
from tidings.ledger.batcher import HEAVIEST, Batcher


class Statement:
    """What runs a batch: answers each item with its double, once it is let go."""

    def __init__(self, *, held: bool = False) -> None:
        self.batches: list[list[int]] = []
        self.under_way = 0
        self.most_under_way = 0
        self.go_on = asyncio.Event()
        if not held:
            self.go_on.set()

    async def run(self, items: Sequence[int]) -> Sequence[int]:
        self.batches.append(list(items))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.go_on.wait()
        finally:
            self.under_way -= 1
        return [2 * item for item in items]


async def settle() -> None:
    """Let everybody who can go on go on."""
    for _ in range(10):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


def submitting(
    batcher: Batcher[int, int], items: Sequence[int]
) -> Awaitable[list[int | BaseException]]:
    tasks = [asyncio.ensure_future(batcher.submit(item)) for item in items]
    return asyncio.gather(*tasks, return_exceptions=True)


async def test_everyone_who_is_ready_goes_together_and_gets_their_own_answer() -> None:
    statement = Statement()
    async with Batcher(statement.run, size=100) as batcher:
        assert await submitting(batcher, range(50)) == [2 * item for item in range(50)]
    assert statement.batches == [list(range(50))]


async def test_one_alone_goes_at_once() -> None:
    statement = Statement()
    async with Batcher(statement.run, size=100) as batcher:
        assert await batcher.submit(21) == 42


async def test_after_a_batch_of_several_the_next_waits_for_company_and_a_full_one_does_not() -> (
    None
):
    statement = Statement()
    batcher = Batcher(statement.run, size=3, pause=60)
    await submitting(batcher, [1, 2])
    early = submitting(batcher, [3])
    await settle()
    assert statement.batches == [[1, 2]]  # in company the last time: it waits
    await asyncio.gather(early, submitting(batcher, [4, 5]))
    assert statement.batches[1:] == [[3, 4, 5]]  # full: it goes
    late = submitting(batcher, [6])
    await settle()
    assert len(statement.batches) == 2
    await batcher.__aexit__()  # and at the end nobody is kept waiting
    assert await late == [12]


async def test_after_one_alone_nobody_waits() -> None:
    statement = Statement()
    async with Batcher(statement.run, size=3, pause=60) as batcher:
        for item in range(3):
            assert await batcher.submit(item) == 2 * item


async def test_the_rest_is_over_in_time() -> None:
    statement = Statement()
    async with asyncio.timeout(5), Batcher(statement.run, size=3, pause=0.01) as batcher:
        await submitting(batcher, [1, 2])
        assert await batcher.submit(3) == 6


async def test_who_comes_while_a_batch_is_under_way_goes_together_next_in_order() -> None:
    statement = Statement(held=True)
    async with Batcher(statement.run, size=100) as batcher:
        first = submitting(batcher, [0])
        await settle()
        rest = [submitting(batcher, [item]) for item in range(1, 30)]
        await settle()
        assert statement.batches == [[0]]
        statement.go_on.set()
        await asyncio.gather(first, *rest)
    assert statement.batches == [[0], list(range(1, 30))]


async def test_a_batch_is_never_larger_than_its_size() -> None:
    statement = Statement()
    async with Batcher(statement.run, size=7) as batcher:
        assert await submitting(batcher, range(50)) == [2 * item for item in range(50)]
    assert max(map(len, statement.batches)) == 7
    assert [item for batch in statement.batches for item in batch] == list(range(50))


async def test_only_a_full_batch_starts_beside_one_that_is_under_way() -> None:
    statement = Statement(held=True)
    async with Batcher(statement.run, size=4, lanes=2) as batcher:
        waits = [submitting(batcher, [0])]
        await settle()
        waits.append(submitting(batcher, [1, 2, 3]))
        await settle()
        assert statement.batches == [[0]]
        waits.append(submitting(batcher, [4, 5]))
        await settle()
        assert statement.batches == [[0], [1, 2, 3, 4]]
        waits.append(submitting(batcher, range(6, 30)))
        await settle()
        assert len(statement.batches) == 2, "two lanes, two batches"
        statement.go_on.set()
        await asyncio.gather(*waits)
    assert statement.most_under_way == 2


async def test_an_item_that_can_t_be_done_fails_alone() -> None:
    async def run(items: Sequence[int]) -> Sequence[int]:
        if 13 in items:
            raise ValueError("thirteen")
        return [2 * item for item in items]

    async with Batcher(run, size=100) as batcher:
        answers = await submitting(batcher, range(20))
    assert isinstance(answers.pop(13), ValueError)
    assert answers == [2 * item for item in range(20) if item != 13]


async def test_a_ledger_that_is_away_fails_everybody_at_once_and_is_asked_once() -> None:
    calls = 0

    async def run(items: Sequence[int]) -> Sequence[int]:
        nonlocal calls
        calls += 1
        raise LedgerUnavailable("PostgreSQL: no answer in time")

    async with Batcher(run, size=100) as batcher:
        answers = await submitting(batcher, range(20))
    assert [type(answer) for answer in answers] == [LedgerUnavailable] * 20
    assert calls == 1


async def test_a_ledger_that_goes_away_while_the_one_to_blame_is_sought_fails_only_the_rest() -> (
    None
):
    async def run(items: Sequence[int]) -> Sequence[int]:
        match list(items):
            case [only] if only < 2:
                return [2 * only]
            case [_]:
                raise LedgerUnavailable("away")
            case _:
                raise ValueError("somebody's fault")

    async with Batcher(run, size=100) as batcher:
        answers = await submitting(batcher, range(4))
    assert answers[:2] == [0, 2]
    assert [type(answer) for answer in answers[2:]] == [LedgerUnavailable] * 2


async def test_after_a_failure_the_next_batch_is_done() -> None:
    fails = True

    async def run(items: Sequence[int]) -> Sequence[int]:
        if fails:
            raise LedgerUnavailable("away")
        return items

    async with Batcher(run, size=10) as batcher:
        with pytest.raises(LedgerUnavailable):
            await batcher.submit(1)
        fails = False
        assert await batcher.submit(1) == 1


async def test_who_is_cancelled_while_waiting_takes_nobody_along() -> None:
    statement = Statement(held=True)
    async with Batcher(statement.run, size=100) as batcher:
        tasks = [asyncio.ensure_future(batcher.submit(item)) for item in range(5)]
        await until(lambda: statement.batches)
        tasks[2].cancel()
        await settle()
        statement.go_on.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers.pop(2), asyncio.CancelledError)
    assert answers == [0, 2, 6, 8]


async def test_who_is_cancelled_takes_nobody_along_where_the_batch_fails_either() -> None:
    go_on = asyncio.Event()

    async def run(items: Sequence[int]) -> Sequence[int]:
        await go_on.wait()
        raise LedgerUnavailable("away")

    async with Batcher(run, size=100) as batcher:
        tasks = [asyncio.ensure_future(batcher.submit(item)) for item in range(3)]
        await settle()
        tasks[0].cancel()
        await settle()
        go_on.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(answer) for answer in answers] == [
        asyncio.CancelledError,
        LedgerUnavailable,
        LedgerUnavailable,
    ]


async def test_what_was_done_for_somebody_who_is_gone_is_undone_after_everybody_was_told() -> None:
    statement = Statement(held=True)
    task_states: list[bool] = []
    undone: list[tuple[int, int]] = []

    async def undo(item: int, result: int) -> None:
        await settle()
        task_states.append(all(task.done() for task in tasks))
        undone.append((item, result))

    async with Batcher(statement.run, size=100, undo=undo) as batcher:
        tasks = [asyncio.ensure_future(batcher.submit(item)) for item in range(5)]
        await until(lambda: statement.batches)
        tasks[0].cancel()
        tasks[3].cancel()
        await settle()
        statement.go_on.set()
    assert undone == [(0, 0), (3, 6)]
    assert task_states == [True, True]


@pytest.mark.parametrize("error", [LedgerUnavailable("away"), ConfigurationError("tables")])
async def test_what_can_t_be_undone_takes_nobody_along(error: TidingsError) -> None:
    statement = Statement(held=True)

    async def undo(_: int, __: int) -> None:
        raise error

    async with Batcher(statement.run, size=100, undo=undo) as batcher:
        tasks = [asyncio.ensure_future(batcher.submit(item)) for item in range(3)]
        await until(lambda: statement.batches)
        tasks[0].cancel()
        await settle()
        statement.go_on.set()
        assert await asyncio.gather(*tasks[1:]) == [2, 4]


async def test_who_was_cancelled_before_the_batch_began_is_not_in_it() -> None:
    statement = Statement(held=True)
    async with Batcher(statement.run, size=100) as batcher:
        first = submitting(batcher, [0])
        await until(lambda: statement.batches)
        tasks = [asyncio.ensure_future(batcher.submit(item)) for item in range(1, 4)]
        await settle()
        tasks[1].cancel()
        await settle()
        statement.go_on.set()
        await asyncio.gather(first, *tasks, return_exceptions=True)
    assert statement.batches == [[0], [1, 3]]


async def test_where_everybody_was_cancelled_there_is_nothing_to_run() -> None:
    statement = Statement(held=True)
    async with Batcher(statement.run, size=100) as batcher:
        first = submitting(batcher, [0])
        await until(lambda: statement.batches)
        task = asyncio.ensure_future(batcher.submit(1))
        await settle()
        task.cancel()
        await settle()
        statement.go_on.set()
        await first
        assert await batcher.submit(2) == 4
    assert statement.batches == [[0], [2]]


async def test_a_batch_takes_only_as_many_bytes_as_get_through_in_time() -> None:
    statement = Statement()
    weights = [HEAVIEST // 2, HEAVIEST // 2, 1, HEAVIEST * 3, HEAVIEST, 5, 6]
    async with Batcher(statement.run, size=100, weigh=lambda item: item) as batcher:
        assert await submitting(batcher, weights) == [2 * weight for weight in weights]
    assert [item for batch in statement.batches for item in batch] == weights
    assert all(len(batch) == 1 or sum(batch) <= HEAVIEST for batch in statement.batches)
    assert len(statement.batches) < len(weights)


async def test_closing_waits_for_what_was_submitted() -> None:
    statement = Statement(held=True)
    batcher = Batcher(statement.run, size=3, lanes=1)
    async with batcher:
        answers = submitting(batcher, range(10))
        await settle()
        asyncio.get_running_loop().call_later(0.01, statement.go_on.set)
    assert await answers == [2 * item for item in range(10)]
    assert statement.under_way == 0


async def test_closing_an_idle_one_waits_for_nobody() -> None:
    async with asyncio.timeout(1), Batcher(Statement().run, size=3):
        pass


@pytest.mark.parametrize("fault", [asyncio.CancelledError, RuntimeError, MemoryError])
async def test_whatever_cuts_a_batch_off_everybody_in_it_is_answered(
    fault: type[BaseException],
) -> None:
    async def cut_off(items: Sequence[int]) -> Sequence[int]:
        raise fault

    async with asyncio.timeout(5), Batcher(cut_off, size=10) as batcher:
        answers = await submitting(batcher, range(4))
    expected = LedgerUnavailable if fault is asyncio.CancelledError else fault
    assert [type(answer) for answer in answers] == [expected] * 4


async def test_who_gets_no_result_of_a_batch_is_told_so() -> None:
    async def forgetful(items: Sequence[int]) -> Sequence[int]:
        return list(items)[:-1]

    async with asyncio.timeout(5), Batcher(forgetful, size=10) as batcher:
        answers = await submitting(batcher, range(3))
    assert answers[:2] == [0, 1]
    assert isinstance(answers[2], LedgerUnavailable)


async def test_one_whose_rows_are_moving_holds_up_no_one_else() -> None:
    async def run(items: Sequence[int]) -> Sequence[int]:
        if 3 in items:
            raise RowsMoving("rows are moving")
        return items

    async with Batcher(run, size=100) as batcher:
        answers = await submitting(batcher, range(5))
    assert [answer for answer in answers if not isinstance(answer, BaseException)] == [0, 1, 2, 4]
    assert isinstance(answers[3], LedgerUnavailable)
