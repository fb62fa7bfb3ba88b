"""Since when it does is written on its message, until it is asked, or replayed."""

from datetime import timedelta
from typing import Any, cast

import pytest
from tests.support.attempts import NOW, attempt_of

from tidings.delivery.arrival import Arrival, TimeSource
from tidings.delivery.attempt import Lane, Message, read
from tidings.delivery.delay import Delay
from tidings.delivery.outcome import Failure, RetryLater
from tidings.delivery.ports import Delivery, Publisher
from tidings.worker.settle import Settler
from tidings_events.routing import Headers

SINCE = NOW - timedelta(minutes=5)
LANE = Lane("email", "normal")


class Kept:
    """Takes what is published, and the delivery's ack."""

    def __init__(self, headers: dict[str, object]) -> None:
        body = attempt_of().body
        self.queue = LANE.queue
        self.message = Message(body, LANE.key, headers)
        self.headers: dict[str, object] = {}

    async def publish(self, _: str, __: str, ___: bytes, headers: Any, ____: str) -> None:
        self.headers = dict(headers)

    def ack(self) -> None:
        pass

    async def postponed(self, since: Any) -> object:
        seen = Arrival(NOW, TimeSource.READ)
        settler = Settler(cast(Publisher, self), worker="w")
        await settler.postpone(cast(Delivery, self), Delay(5), seen, since)
        return self.headers.get(Headers.POSTPONED_SINCE)

    async def retried(self, kind: str) -> object:
        attempt = read(self.message, LANE)
        again = RetryLater(Failure(kind, "no"), Delay(5), 2)
        await Settler(cast(Publisher, self), worker="w").settle(
            cast(Delivery, self), attempt, again
        )
        return self.headers.get(Headers.POSTPONED_SINCE)


async def test_it_is_written_when_it_is_put_off_and_read_again() -> None:
    kept = Kept({})
    written = await kept.postponed(SINCE)

    again = read(Message(kept.message.body, LANE.key, kept.headers), LANE)
    assert written == SINCE.isoformat(timespec="milliseconds")
    assert again.postponed_since == SINCE


async def test_waiting_for_another_reason_does_not_forget_it() -> None:
    assert (
        await Kept({Headers.POSTPONED_SINCE: SINCE.isoformat()}).postponed(None)
        == SINCE.isoformat()
    )


@pytest.mark.parametrize(("kind", "kept"), [("postponed", True), ("unavailable", False)])
async def test_it_lasts_until_the_receiver_is_asked(kind: str, kept: bool) -> None:
    written = await Kept({Headers.POSTPONED_SINCE: SINCE.isoformat()}).retried(kind)

    assert (written is not None) == kept
