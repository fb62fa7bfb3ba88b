"""Faults of recipients: mailboxes that are full, unknown or out of reach, by the hundred, among good ones."""

import asyncio
from itertools import chain
from time import time
from typing import Final

from tests.chaos.load import PLAIN, Writer
from tests.chaos.scenario import scenario
from tests.chaos.verdict import Expectations
from tests.chaos.world import World

ODD: Final = ("full", "ghost", "foreign")
AT_ONCE: Final = 1.0
"""Seconds within which an urgent mail to a good recipient is delivered, whatever waits beside it."""
PAUSE: Final = 0.2


@scenario(
    28,
    "odd-recipients",
    "deferred, unknown and unrelayable recipients by the hundred, urgent mail for good ones among them",
    "P, C, D = 0",
    count=600,
    mutant="deferred-counts-as-down",
)
async def odd_recipients(made: World) -> Expectations | None:
    """None of them keeps anybody else waiting, and each ends as its own recipient's fault."""
    await made.start_roles(workers=1)
    await made.publish(10, PLAIN)
    await made.delivered(10)
    slowest, urgent = 0.0, made.writer(PLAIN, "urgent")
    odd = chain.from_iterable(made.writer({kind: 1}).items(made.options.count // 3) for kind in ODD)
    async with made.publishing(odd) as publishing:
        made.fault("odd recipients")
        while not (publishing.done() and await _all_ended(made)):
            slowest = max(slowest, await _deliver(made, urgent))
            await asyncio.sleep(PAUSE)
    limit = AT_ONCE * made.options.patience
    made.notes.append(f"the slowest urgent mail took {slowest:.3f} s")
    assert slowest <= limit, f"an urgent mail took {slowest:.3f} s, more than {limit:g}"
    return Expectations(duplicates=0)


async def _deliver(made: World, urgent: Writer) -> float:
    """Seconds from its publishing until the relay has it."""
    item, began = urgent.item("plain"), time()
    await made.load.publish(iter([item]))
    await made.until(lambda: made.sink.taken[f"{item.id}.0"] > 0, "an urgent mail", 60)
    return time() - began


async def _all_ended(made: World) -> bool:
    [row] = await made.fetch("SELECT count(*) AS n FROM notifications WHERE state = 'failed'")
    return bool(row["n"] >= made.options.count // 3 * 3)
