"""Webhooks wait for their turns without anybody's place, the most urgent first, and not for long."""

import asyncio

import pytest

from tidings.channels.webhook.admission import Turns
from tidings.channels.webhook.receivers import Receivers
from tidings.channels.webhook.settings import WebhookSettings
from tidings.delivery.errors import OutcomeUnknown, Postponed, Rejected, Unavailable

SILENT = "https://silent.example/hooks"
OTHER = "https://other.example/hooks"


class Asking:
    """Webhooks under way to receivers, until it is told what came of them."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.asked: list[str] = []
        self.gave_way = 0
        self.answer = asyncio.Event()

    async def one(self, url: str = SILENT, size: int = 10, rank: int = 0, name: str = "") -> None:
        async with self.turns.turn(url, size, self._give_way, rank):
            self.asked.append(name or url)
            await self.answer.wait()

    def _give_way(self) -> None:
        self.gave_way += 1

    def begin(self, times: int, url: str = SILENT) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self.one(url)) for _ in range(times)]


def turns_of(room: int = 4, most: int = 5, waiting: int = 10, soon: float = 0.05) -> Turns:
    return Turns("webhook", Receivers(room, 0, most, 60.0, (2.0, 5.0), soon=soon), waiting)


async def answered(turns: Turns, url: str) -> None:
    async with turns.turn(url, 10, lambda: None):
        pass


async def unanswered(turns: Turns, times: int, url: str = SILENT) -> None:
    for number in range(times):
        error = OutcomeUnknown("no answer") if number % 2 else Unavailable("no connection")
        with pytest.raises((Unavailable, OutcomeUnknown), match="no "):
            async with turns.turn(url, 10, lambda: None):
                raise error


async def ended(*tasks: asyncio.Task[None]) -> list[BaseException | None]:
    async with asyncio.timeout(5):
        return await asyncio.gather(*tasks, return_exceptions=True)


async def test_of_many_for_one_that_hangs_some_are_sent_and_the_others_put_off() -> None:
    asking = Asking(turns_of(room=4))
    tasks = asking.begin(20)

    async with asyncio.timeout(5):
        while sum(task.done() for task in tasks) < 18:
            await asyncio.sleep(0.01)
    asking.answer.set()
    outcomes = await ended(*tasks)

    assert [type(one) for one in outcomes].count(Postponed) == 18
    assert len(asking.asked) == 2
    assert "it was not asked" in str(next(one for one in outcomes if one))


async def test_who_waits_and_who_is_late_gives_its_place_away() -> None:
    turns = turns_of(room=4)
    await answered(turns, OTHER)
    asking = Asking(turns)
    new, known = asking.begin(2), asking.begin(1, OTHER)
    await asyncio.sleep(0)
    assert asking.gave_way == 2
    async with asyncio.timeout(5):
        while asking.gave_way < 3:
            await asyncio.sleep(0.01)

    asking.answer.set()
    assert await ended(*new, *known) == [None] * 3


async def test_its_first_answer_lets_all_through_who_wait_and_who_come() -> None:
    asking = Asking(turns_of(soon=30))
    waiting = asking.begin(8)
    await asyncio.sleep(0)
    assert len(asking.asked) == 2
    asking.answer.set()

    assert await ended(*waiting, *asking.begin(100)) == [None] * 108


async def test_of_those_who_wait_the_most_urgent_is_next() -> None:
    asking = Asking(turns_of(room=1, soon=30))
    first = asyncio.create_task(asking.one("https://0.example"))
    await asyncio.sleep(0)
    others = [
        asyncio.create_task(asking.one(f"https://{name}.example", rank=rank, name=name))
        for rank, name in ((3, "low"), (2, "normal"), (0, "urgent"), (2, "later"))
    ]
    await asyncio.sleep(0)
    asking.answer.set()
    await ended(first, *others)

    assert asking.asked[1:] == ["urgent", "normal", "later", "low"]


async def test_where_many_wait_and_the_room_is_full_the_next_is_put_off_at_once() -> None:
    asking = Asking(turns_of(room=1, waiting=3, soon=30))
    tasks = [asyncio.create_task(asking.one(f"https://{n}.example")) for n in range(1000)]

    done, few = await asyncio.wait(tasks, timeout=2, return_when=asyncio.FIRST_EXCEPTION)

    assert len(few) == 4
    assert {type(task.exception()) for task in done} == {Postponed}
    asking.answer.set()
    await ended(*few)


async def test_one_that_rests_is_not_waited_for() -> None:
    turns = turns_of(soon=30)
    await unanswered(turns, 5)

    for _ in range(100):
        with pytest.raises(Postponed) as caught:
            await answered(turns, SILENT)

    assert 59 < caught.value.wait <= 60


@pytest.mark.parametrize("url", [OTHER, "https://silent.example:8443/hooks"])
async def test_other_receivers_are_asked_as_ever(url: str) -> None:
    turns = turns_of()
    await unanswered(turns, 5)
    asking = Asking(turns)
    asking.answer.set()

    assert await ended(*asking.begin(20, url)) == [None] * 20


async def test_a_receiver_that_refuses_everything_is_not_silent() -> None:
    turns = turns_of()
    for _ in range(3):
        await unanswered(turns, 4)
        await answered(turns, SILENT)  # a 503, say
    with pytest.raises(Rejected):
        async with turns.turn(SILENT, 10, lambda: None):
            raise Rejected("it has no public address")

    await answered(turns, SILENT)


async def test_who_is_cancelled_leaves_its_turn_to_others() -> None:
    asking = Asking(turns_of(room=2, most=1, soon=30))
    tasks = asking.begin(20)
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)

    asking.answer.set()
    assert await ended(*asking.begin(20)) == [None] * 20


async def test_who_is_cancelled_as_its_turn_comes_leaves_it_to_others() -> None:
    asking = Asking(turns_of(room=1, soon=30))
    first = asyncio.create_task(asking.one("https://0.example"))
    await asyncio.sleep(0)
    second = asyncio.create_task(asking.one("https://1.example"))
    third = asyncio.create_task(asking.one("https://2.example"))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    second.cancel()
    await asyncio.wait([second])
    asking.answer.set()

    assert await ended(third) == [None]


async def test_a_turn_that_is_given_back_unused_lets_the_next_in() -> None:
    asking = Asking(turns_of(room=1, soon=30))
    first = asyncio.create_task(asking.one("https://0.example"))
    await asyncio.sleep(0)
    second = asyncio.create_task(asking.one("https://1.example"))
    third = asyncio.create_task(asking.one("https://2.example"))
    await asyncio.sleep(0)
    first.cancel()
    while not asking.turns._waiting[0].turn.done():
        await asyncio.sleep(0)
    second.cancel()  # in the very moment in which its turn has come
    await asyncio.wait([first, second])
    asking.answer.set()

    assert await ended(third) == [None]


async def test_those_put_off_by_a_receiver_that_answers_slowly_are_told_so() -> None:
    turns = turns_of(room=4, soon=0.01)
    for _ in range(2):
        async with turns.turn(SILENT, 10, lambda: None):
            await asyncio.sleep(0.02)
    asking = Asking(turns)
    tasks = asking.begin(10)
    done, _ = await asyncio.wait(tasks, timeout=5, return_when=asyncio.FIRST_EXCEPTION)
    asking.answer.set()
    await ended(*tasks)

    error = done.pop().exception()
    assert isinstance(error, Postponed)
    assert error.answers
    assert error.wait > 0


def test_however_the_setting_is_the_channel_rests_for_no_receiver() -> None:
    assert WebhookSettings(circuit_failures=3).circuit.failures == 0
