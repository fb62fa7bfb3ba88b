"""Where large messages have taken all the room there is, who is urgent goes first and each queue has its share."""

import asyncio
from collections.abc import Callable
from itertools import groupby

from tests.doubles.channel import ScriptedChannel
from tests.support.worker_rig import Rig, eventually

from tidings.broker.memory_budget import MemoryBudget
from tidings.broker.topology.layout import DEAD
from tidings.delivery.outcome import Sent
from tidings.delivery.ports import SendRequest

MIB = 1024 * 1024
LARGE = 19 * MIB // 10
"""Of these, two have room at once: half of 8 MiB is for all, the other half is shared out among five queues."""
OF_ITS_SHARE = MIB // 2
URGENT, LOW = "tidings.email.urgent", "tidings.email.low"
BULK = "bulk@example.com"


class Account(MemoryBudget):
    """Keeps which queues had to wait, and which were fetched again."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.waited: list[str] = []
        self.requeued: list[str] = []

    def wait(
        self,
        queue: str,
        size: int,
        requeue: Callable[[], None],
        alive: Callable[[], bool],
        *,
        anyway: bool = False,
    ) -> None:
        """Fetch a message again."""

        def asking() -> None:
            self.requeued.append(queue)
            requeue()

        self.waited.append(queue)
        super().wait(queue, size, asking, alive, anyway=anyway)


class Gated(ScriptedChannel):
    """Sends nothing of the bulk until it may."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()

    async def send(self, request: SendRequest) -> Sent:
        """Wait at the gate, perhaps."""
        if request.attempt.notification.recipient == BULK:
            await self.gate.wait()
        return await super().send(request)


async def test_urgent_ones_are_asked_for_first_and_dead_letters_last_and_a_share_is_left_to_each(
    make_rig,
) -> None:
    rig: Rig = await make_rig(TIDINGS_BUFFER_MIB="8")
    account, channel = Account(rig.settings.worker.buffer_bytes), Gated()

    async def publish(priority: str, size: int, recipient: str = "ada@example.com") -> None:
        fields = {"priority": priority, "recipient": recipient, "data": {"a": "y" * size}}
        await rig.publish(f"email.{priority}", **fields)

    async with rig.working(channel, memory_budget=account), rig.archiving(account):
        for _ in range(2):
            await publish("normal", LARGE, BULK)
        await eventually(lambda: account.held > 2 * LARGE)
        for _ in range(2):
            await publish("low", LARGE)
        await _dead(rig, LARGE)
        await eventually(lambda: sorted(account.waited) == sorted([DEAD, LOW, LOW]))

        for size in (1, OF_ITS_SHARE):
            await publish("urgent", size)
        await eventually(lambda: len(channel.sent) == 2)
        await _dead(rig, OF_ITS_SHARE)
        await eventually(lambda: _archived(rig, 1))

        for _ in range(2):
            await publish("urgent", LARGE)
        await eventually(lambda: account.waited.count(URGENT) == 2)
        assert not account.requeued
        channel.gate.set()
        await eventually(lambda: len(channel.sent) == 8)
        await eventually(lambda: _archived(rig, 2))
    assert [queue for queue, _ in groupby(account.requeued)] == [URGENT, LOW, DEAD]


async def _dead(rig: Rig, size: int) -> None:
    """A dead letter that nobody has read yet."""
    await rig.publish("email.normal", exchange=DEAD, data={"a": "y" * size})


async def _archived(rig: Rig, count: int) -> bool:
    (row,) = await rig.fetch("SELECT count(*) AS n FROM dead_letters")
    return row["n"] == count
