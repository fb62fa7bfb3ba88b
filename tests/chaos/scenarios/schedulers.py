"""Faults of schedulers: one dies with what is due in its hands, and another one is there."""

import signal
from datetime import UTC, datetime
from time import time
from typing import Final

from tests.chaos.load import Item, Writer
from tests.chaos.scenario import scenario
from tests.chaos.verdict import Expectations
from tests.chaos.world import World

AHEAD: Final = 4.0
"""Seconds from the publishing until all of it is due: time enough for a worker to read it."""
LATE: Final = 5.0
"""Seconds by which a scheduler that dies may delay what it held."""


@scenario(
    33,
    "scheduler-killed",
    "a scheduler is killed with everything in its hands that is due, and another one takes over",
    "C, D = 0, P",
    count=300,
    relayed=["amqp"],
    mutant="holds-for-half-a-minute",
)
async def scheduler_killed(made: World) -> Expectations | None:
    """Its wire to the broker is silent, so it holds what it has taken; all is sent within seconds of its time."""
    direct = ",".join(made.broker.urls())
    await made.add("archive", TIDINGS_AMQP_URL=direct)
    await made.add("worker-0", TIDINGS_AMQP_URL=direct)
    second = await made.add("scheduler-1", TIDINGS_AMQP_URL=direct)
    first = await made.add("scheduler-0")
    second.signal(signal.SIGSTOP)  # else it might take some of it
    due = time() + AHEAD * made.options.patience
    made.load.url = lambda: direct.partition(",")[0]
    await made.load.publish(_due(made, due))
    await made.until(_counted(made, "state = 'scheduled'"), "everything stored", 30)
    assert time() < due, "it was due before it was stored: this run shows nothing"
    made.relays["amqp"].stall()
    await made.until(_counted(made, "state = 'queued' AND dispatch_at > now()"), "all taken", 30)
    await first.kill()
    made.fault("scheduler killed")
    killed = time()
    second.signal(signal.SIGCONT)
    await made.delivered(made.options.count, 60)
    late, limit = made.sink.last_taken - due, LATE * made.options.patience
    made.notes.append(f"killed {killed - due:.2f} s after its time, the last one sent {late:.2f} s")
    assert late <= limit, f"the last one was sent {late:.1f} s after its time, more than {limit:g}"
    return Expectations(duplicates=0)


def _due(made: World, due: float):
    """Mails that are all due at one moment."""
    at = datetime.fromtimestamp(due, UTC).isoformat()
    for item in Writer(made.random.getrandbits(32), {"plain": 1}).items(made.options.count):
        body = item.body.replace(
            b'"version": 1', f'"version": 1, "scheduled_at": "{at}"'.encode(), 1
        )
        yield Item(item.id, "scheduled", item.key, body, str(due))


def _counted(made: World, where: str):
    async def counted() -> bool:
        rows = await made.fetch(f"SELECT count(*) AS n FROM notifications WHERE {where}")  # noqa: S608  # ours
        return bool(rows[0]["n"] == made.options.count)

    return counted
