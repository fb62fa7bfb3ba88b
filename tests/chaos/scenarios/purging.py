"""Queues that somebody empties: what a worker has read is in PostgreSQL, and comes back from there."""

import asyncio
import signal
from typing import Final

from tests.chaos.scenario import scenario
from tests.chaos.verdict import Expectations
from tests.chaos.world import World

MIX: Final = {"plain": 80, "busy": 15, "reject": 5}
"""With many more that are refused at first, ten may come together, in any order of their retries: the provider would be
given up, and each probe could be such a one."""
DEAD: Final = "tidings.dead"


@scenario(
    27,
    "queues-purged",
    "the retry queues are purged again and again, and the dead letters while their archive is away",
    "C, D = 0",
    count=1500,
    mutant="nobody-looks",
)
async def queues_purged(made: World) -> Expectations | None:
    """Everything confirmed that a worker has read ends, and is sent once."""
    await made.start_roles(TIDINGS_REQUEUE_AFTER="5s")
    purged = await _purged_while_publishing(made)
    assert purged > 0, "no retry was waiting when its queue was purged"
    lost = await _dead_letters_lost(made)
    made.fault(f"{purged} retries and {lost} dead letters purged")
    await made.until(made.nothing_left, "every notification ended", 90)
    await made.until(_every_dead_letter(made), "a dead letter for each that failed", 60)
    rows = await made.fetch(
        "SELECT count(*) AS n FROM transitions WHERE reason LIKE '%: published again'"
    )
    made.notes.append(f"{rows[0]['n']} published again")
    return Expectations(duplicates=0)


async def _purged_while_publishing(made: World) -> int:
    """How many retries were lost."""
    purged, count = 0, made.options.count
    async with made.publishing(made.writer(MIX).items(count), rate=count / 10) as load:
        while not load.done():
            for queue, messages in (await made.queues()).items():
                if ".retry." in queue and messages:
                    await made.broker.management.purge(queue)
                    purged += messages
            await asyncio.sleep(0.5)
    return purged


async def _dead_letters_lost(made: World) -> int:
    """Dead letters that were waiting for an archive that was away."""
    archive = made.role("archive")
    archive.signal(signal.SIGTERM)
    assert await archive.ended() == 0
    await made.publish(40, {"reject": 100})

    async def waiting() -> bool:
        return (await made.queues())[DEAD] >= 40

    await made.until(waiting, "dead letters waiting", 30)
    lost = (await made.queues())[DEAD]
    await made.broker.management.purge(DEAD)
    await archive.start()
    await archive.ready()
    return lost


def _every_dead_letter(made: World):
    async def stored() -> bool:
        rows = await made.fetch(
            "SELECT EXISTS (SELECT FROM notifications n WHERE state = 'failed' AND NOT EXISTS"
            " (SELECT FROM dead_letters d WHERE d.notification_id = n.id)) AS missing"
        )
        return not rows[0]["missing"]

    return stored
