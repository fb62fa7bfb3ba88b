"""Webhooks wait for their turns without anybody's place, the most urgent first, and not for long."""

import asyncio

import pytest

from tidings.channels.webhook.admission import Admission
from tidings.channels.webhook.receivers import Receivers
from tidings.channels.webhook.settings import WebhookSettings
from tidings.delivery.errors import OutcomeUnknown, Postponed, Rejected, Unavailable

SILENT = "https://silent.example/hooks"
OTHER = "https://other.example/hooks"


class Sends:
    """Webhooks under way to receivers, until it is told what came of them."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.admitted: list[str] = []
        self.gave_way = 0
        self.answer = asyncio.Event()

    async def send(self, url: str = SILENT, size: int = 10, rank: int = 0, name: str = "") -> None:
        async with self.admission.admit(url, size, self._give_way, rank):
            self.admitted.append(name or url)
            await self.answer.wait()

    def _give_way(self) -> None:
        self.gave_way += 1

    def begin(self, times: int, url: str = SILENT) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self.send(url)) for _ in range(times)]


def admission_of(room: int = 4, most: int = 5, waiting: int = 10, soon: float = 0.05) -> Admission:
    return Admission("webhook", Receivers(room, 0, most, 60.0, (2.0, 5.0), soon=soon), waiting)


async def answered(admission: Admission, url: str) -> None:
    async with admission.admit(url, 10, lambda: None):
        pass


async def unanswered(admission: Admission, times: int, url: str = SILENT) -> None:
    for number in range(times):
        error = OutcomeUnknown("no answer") if number % 2 else Unavailable("no connection")
        with pytest.raises((Unavailable, OutcomeUnknown), match="no "):
            async with admission.admit(url, 10, lambda: None):
                raise error


async def ended(*tasks: asyncio.Task[None]) -> list[BaseException | None]:
    async with asyncio.timeout(5):
        return await asyncio.gather(*tasks, return_exceptions=True)


async def test_of_many_for_one_that_hangs_some_are_sent_and_the_others_put_off() -> None:
    sends = Sends(admission_of(room=4))
    tasks = sends.begin(20)

    async with asyncio.timeout(5):
        while sum(task.done() for task in tasks) < 18:
            await asyncio.sleep(0.01)
    sends.answer.set()
    outcomes = await ended(*tasks)

    assert [type(send) for send in outcomes].count(Postponed) == 18
    assert len(sends.admitted) == 2
    assert "not sent" in str(next(send for send in outcomes if send))


async def test_who_waits_and_who_is_late_gives_its_place_away() -> None:
    admission = admission_of(room=4)
    await answered(admission, OTHER)
    sends = Sends(admission)
    new, known = sends.begin(2), sends.begin(1, OTHER)
    await asyncio.sleep(0)
    assert sends.gave_way == 2
    async with asyncio.timeout(5):
        while sends.gave_way < 3:
            await asyncio.sleep(0.01)

    sends.answer.set()
    assert await ended(*new, *known) == [None] * 3


async def test_its_first_answer_lets_all_through_who_wait_and_who_come() -> None:
    sends = Sends(admission_of(soon=30))
    waiting = sends.begin(8)
    await asyncio.sleep(0)
    assert len(sends.admitted) == 2
    sends.answer.set()

    assert await ended(*waiting, *sends.begin(100)) == [None] * 108


async def test_of_those_who_wait_the_most_urgent_is_next() -> None:
    sends = Sends(admission_of(room=1, soon=30))
    first = asyncio.create_task(sends.send("https://0.example"))
    await asyncio.sleep(0)
    others = [
        asyncio.create_task(sends.send(f"https://{name}.example", rank=rank, name=name))
        for rank, name in ((3, "low"), (2, "normal"), (0, "urgent"), (2, "later"))
    ]
    await asyncio.sleep(0)
    sends.answer.set()
    await ended(first, *others)

    assert sends.admitted[1:] == ["urgent", "normal", "later", "low"]


async def test_where_many_wait_and_the_room_is_full_the_next_is_put_off_at_once() -> None:
    sends = Sends(admission_of(room=1, waiting=3, soon=30))
    tasks = [asyncio.create_task(sends.send(f"https://{n}.example")) for n in range(1000)]

    done, few = await asyncio.wait(tasks, timeout=2, return_when=asyncio.FIRST_EXCEPTION)

    assert len(few) == 4
    assert {type(task.exception()) for task in done} == {Postponed}
    sends.answer.set()
    await ended(*few)


async def test_one_that_rests_is_not_waited_for() -> None:
    admission = admission_of(soon=30)
    await unanswered(admission, 5)

    for _ in range(100):
        with pytest.raises(Postponed) as caught:
            await answered(admission, SILENT)

    assert 59 < caught.value.wait <= 60


@pytest.mark.parametrize("url", [OTHER, "https://silent.example:8443/hooks"])
async def test_other_receivers_are_sent_to_as_before(url: str) -> None:
    admission = admission_of()
    await unanswered(admission, 5)
    sends = Sends(admission)
    sends.answer.set()

    assert await ended(*sends.begin(20, url)) == [None] * 20


async def test_a_receiver_that_refuses_everything_is_not_silent() -> None:
    admission = admission_of()
    for _ in range(3):
        await unanswered(admission, 4)
        await answered(admission, SILENT)  # a 503, say
    with pytest.raises(Rejected):
        async with admission.admit(SILENT, 10, lambda: None):
            raise Rejected("it has no public address")

    await answered(admission, SILENT)


async def test_who_is_cancelled_leaves_its_turn_to_others() -> None:
    sends = Sends(admission_of(room=2, most=1, soon=30))
    tasks = sends.begin(20)
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)

    sends.answer.set()
    assert await ended(*sends.begin(20)) == [None] * 20


async def test_who_is_cancelled_as_its_turn_comes_leaves_it_to_others() -> None:
    sends = Sends(admission_of(room=1, soon=30))
    first = asyncio.create_task(sends.send("https://0.example"))
    await asyncio.sleep(0)
    second = asyncio.create_task(sends.send("https://1.example"))
    third = asyncio.create_task(sends.send("https://2.example"))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    second.cancel()
    await asyncio.wait([second])
    sends.answer.set()

    assert await ended(third) == [None]


async def test_a_turn_that_is_given_back_unused_lets_the_next_in() -> None:
    sends = Sends(admission_of(room=1, soon=30))
    first = asyncio.create_task(sends.send("https://0.example"))
    await asyncio.sleep(0)
    second = asyncio.create_task(sends.send("https://1.example"))
    third = asyncio.create_task(sends.send("https://2.example"))
    await asyncio.sleep(0)
    first.cancel()
    while not sends.admission._waiting[0].request.done():
        await asyncio.sleep(0)
    second.cancel()  # in the very moment in which it is admitted
    await asyncio.wait([first, second])
    sends.answer.set()

    assert await ended(third) == [None]


async def test_those_put_off_by_a_receiver_that_answers_slowly_are_told_so() -> None:
    admission = admission_of(room=4, soon=0.01)
    for _ in range(2):
        async with admission.admit(SILENT, 10, lambda: None):
            await asyncio.sleep(0.02)
    sends = Sends(admission)
    tasks = sends.begin(10)
    done, _ = await asyncio.wait(tasks, timeout=5, return_when=asyncio.FIRST_EXCEPTION)
    sends.answer.set()
    await ended(*tasks)

    error = done.pop().exception()
    assert isinstance(error, Postponed)
    assert error.answers
    assert error.wait > 0


def test_however_the_setting_is_the_channel_rests_for_no_receiver() -> None:
    assert WebhookSettings(circuit_failures=3).circuit.failures == 0
