"""Faults of the wires between a worker and everybody else: they fall silent, and nobody is told."""

import asyncio
from itertools import takewhile
from time import time
from typing import Final

from tests.chaos.evidence import Recovery
from tests.chaos.load import USUAL
from tests.chaos.scenario import scenario
from tests.chaos.verdict import USUAL_END, Expectations
from tests.chaos.world import World

HEARTBEAT: Final = 5
"""Seconds between heartbeats, the least there is: RabbitMQ's silence is noticed after two of them."""
MIX: Final = {**USUAL, "plain": 70, "sms": 18}
"""Something for each wire."""
ENDS: Final = {
    **USUAL_END,
    **dict.fromkeys(("reject", "late", "never"), frozenset({"failed", "expired", "unknown"})),
}
"""Whoever was cut off while a mail was taken is never told that it was not sent, however it is answered later."""
WITHIN: Final = 25.0
"""Seconds within which something is delivered again: the heartbeats, a lease, and what waits between tries."""


@scenario(
    21,
    "wires-stall",
    "each connection falls silent for seconds and recovers, or never does",
    "C, D, P",
    count=3000,
    relayed=["amqp", "database", "smtp", "twilio"],
    mutant="waits-for-ever",
)
async def wires_stall(made: World) -> Expectations | None:
    """First each stalls for 3 to 20 seconds and goes on, then each loses all that is said, with no end to it."""
    await made.start_roles(TIDINGS_AMQP_HEARTBEAT=str(HEARTBEAT))
    names = sorted(made.relays)
    made.random.shuffle(names)
    over = asyncio.Event()
    items = takewhile(lambda _: not over.is_set(), made.writer(MIX).items(made.options.count))
    async with made.publishing(items, rate=made.options.count / 90):
        await made.recovers("start")
        for name in names:
            await _stalled(made, name, made.random.uniform(3, 20))
        for name in names:
            before = await made.in_flight()
            made.relays[name].lose()
            made.fault(f"{name} went dead", before + await made.in_flight())
            await made.recovers(f"{name} went dead", WITHIN)
        over.set()
    return Expectations(ends=ENDS)


async def _stalled(made: World, name: str, seconds: float) -> None:
    before, began = await made.in_flight(), time()
    made.relays[name].stall()
    await asyncio.sleep(seconds)
    made.fault(f"{name} stalled", before + await made.in_flight())
    made.relays[name].go_on()
    await made.recovers(f"{name} stalled", WITHIN)
    made.recoveries.append(Recovery(f"{name} stalled", time() - began - seconds, WITHIN))
