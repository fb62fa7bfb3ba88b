"""Messages that others move about and copy: the management UI, shovels, the AMQP header CC."""

import asyncio
from collections import Counter
from typing import Final

import aio_pika
from aio_pika.abc import AbstractChannel
from tests.chaos.load import Item
from tests.chaos.scenario import scenario
from tests.chaos.verdict import USUAL_END, Expectations
from tests.chaos.world import LANE, World

RETRIES: Final = "tidings.email.retry.5m"
DEAD: Final = "tidings.dead"
HOME: Final = (LANE, "tidings.email.low", "tidings.email.urgent")
STRANGE: Final = "tidings.sms.high"
"""A lane of another channel, where what is ours is sent home from."""
MIX: Final = {"plain": 58, "busy": 40, "reject": 2}
COPIES: Final = 60
TO_THE_DEAD: Final = 20
AT_ONCE: Final = 25


@scenario(
    23,
    "moved-messages",
    "messages are moved between queues by a shovel that dies, and copied to another channel by a header",
    "C, D = 0",
    count=1500,
    mutant="lane-by-routing-key",
)
async def moved_messages(made: World) -> Expectations | None:
    """A retry comes after five minutes, unless somebody moves it: everything goes on by being moved alone."""
    await made.start_roles(TIDINGS_EMAIL_RETRY="5m", TIDINGS_EMAIL_CIRCUIT_FAILURES="0")
    connection = await aio_pika.connect(made.broker.urls()[0])
    async with connection, connection.channel() as channel:
        shovel = Shovel(made, channel)
        items = made.writer(MIX).items(made.options.count)
        async with made.publishing(items, rate=made.options.count / 10) as load:
            copies = await _copied(made, channel)
            while not load.done():
                await shovel.turn()
                await asyncio.sleep(0.2)
        await made.until(shovel.turn, "every retry moved", 90)
    made.fault(f"{shovel.moved.total()} messages moved, {shovel.died} of them twice")
    await made.until(made.nothing_left, "every message settled", 60)
    await _held_apart(made, copies, shovel)
    # A copy that is no notification's end leaves its dead letter to the notification that was sent.
    return Expectations(ends={**USUAL_END, "busy": frozenset({"sent", "failed"})}, duplicates=0)


async def _copied(made: World, channel: AbstractChannel) -> list[Item]:
    """Mails of which a header puts a copy into the lane of text messages."""
    exchange = await channel.get_exchange("tidings.notifications", ensure=False)
    items = list(made.writer({"plain": 100}).items(COPIES))
    for item in items:
        message = aio_pika.Message(item.body, delivery_mode=2, headers={"CC": ["sms.normal"]})
        await exchange.publish(message, item.key)
        made.load.promised(item)
    made.fault(f"{COPIES} mails copied into another channel's lane")
    return items


async def _held_apart(made: World, copies: list[Item], shovel: "Shovel") -> None:
    """Each copy is a dead letter that says so and harms nobody; what was moved to the dead letters ended there."""
    rows = await made.fetch("SELECT reason, kind, count(*) AS n FROM dead_letters GROUP BY 1, 2")
    dead_letters = {(row["reason"], row["kind"]): row["n"] for row in rows}
    assert dead_letters.pop(("malformed", "misrouted"), 0) == COPIES, (
        f"dead letters of copies: {dead_letters}"
    )
    assert dead_letters.pop(("rejected", "moved"), 0) == shovel.moved[DEAD], (
        f"{dead_letters}, {shovel.moved}"
    )
    assert set(dead_letters) <= {("rejected", "rejected")}, (
        f"dead letters of nothing that was done: {dead_letters}"
    )
    ids = [item.id for item in copies]
    states = Counter(
        row["state"]
        for row in await made.fetch("SELECT state FROM notifications WHERE id = ANY($1)", ids)
    )
    assert states == {"sent": COPIES}, f"mails that were copied: {states}"


class Shovel:
    """Moves messages as the management UI does: published to a queue by its name, confirmed, taken off the other."""

    def __init__(self, made: World, channel: AbstractChannel) -> None:
        self._made = made
        self._channel = channel
        self.moved: Counter[str] = Counter()
        """Messages by the queue they went to, each once."""
        self.died = 0
        """How often it was gone between the two, so that the message came twice."""

    async def turn(self) -> bool:
        """Move some of what waits; whether nothing does."""
        await self._move(LANE, HOME[1], most=3, dies=False)
        if self.moved[DEAD] < TO_THE_DEAD:
            await self._move(RETRIES, DEAD, most=2, dies=False)
        for target in (*HOME, STRANGE):
            await self._move(RETRIES, target, most=AT_ONCE, dies=True)
        waiting = (await self._made.queues()).get(RETRIES, 0)
        return not waiting and await self._made.nothing_left()

    async def _move(self, source: str, target: str, *, most: int, dies: bool) -> None:
        queue = await self._channel.get_queue(source, ensure=False)
        for _ in range(most):
            message = await queue.get(fail=False)
            if message is None:
                return
            copy = aio_pika.Message(
                message.body,
                headers={**message.headers, "x-shovelled": True},
                content_type=message.content_type,
                message_id=message.message_id,
                delivery_mode=2,
            )
            await self._channel.default_exchange.publish(copy, target)
            self.moved[target] += 1
            if dies and self._made.random.random() < 0.05:
                self.died += 1
                await message.reject(requeue=True)
            else:
                await message.ack()
