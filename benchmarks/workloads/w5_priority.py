"""W5, priority: how long the urgent wait behind a mountain of the unimportant."""

import time
from collections.abc import Iterator
from typing import Final

from benchmarks.amqp import Wire
from benchmarks.attempts import attempts, milliseconds
from benchmarks.contenders.base import Contender
from benchmarks.messages import messages
from benchmarks.pace import publish_evenly
from benchmarks.results import Measurement
from benchmarks.stage import READY_WITHIN, NotDone, Stage, preload, wait_for
from benchmarks.workloads.base import Column, Workload

BACKLOG: Final = 100_000
RATE: Final = 10.0
SECONDS: Final = 15.0
AT_ONCE: Final = 5
"""Messages between two looks at whether there is still a backlog."""
PATIENCE: Final = 10.0
"""Seconds the last of them have; who is later counts as having waited until then."""


def measure(stage: Stage, contender: Contender) -> Iterator[Measurement]:
    """Once."""
    assert contender.attempts is not None
    job = stage.job(contender, priorities=("urgent", "low"))
    with stage.prepared(contender, job) as wire:
        total = preload(wire, contender, messages(stage.sized(BACKLOG), priority="low"))
        with stage.running(contender, job) as processes:
            low = contender.queue("low")
            wait_for(lambda: wire.depth(low) < total, processes, READY_WITHIN, "draining")
            began, depth = time.monotonic(), wire.depth(low)
            published = _urgent(stage, wire, contender, total)
            drained = (depth - wire.depth(low)) / (time.monotonic() - began)
            time.sleep(0 if _all_there(stage, contender, published) else PATIENCE)
    sent = {attempt.id: attempt.ended for attempt in attempts(stage.servers, contender.attempts)}
    now = time.time()
    waited = [sent.get(name, now) - moment for name, moment in published.items()]
    values = {**milliseconds(waited), "rate": drained, "urgent": float(len(waited))}
    yield Measurement("W5", contender.about.name, values)


def _urgent(stage: Stage, wire: Wire, contender: Contender, first: int) -> dict[str, float]:
    """Publish them, for as long as there is a backlog; id → when."""
    published: dict[str, float] = {}
    for turn in range(int(stage.seconds(SECONDS) * RATE / AT_ONCE)):
        few = list(messages(AT_ONCE, priority="urgent", first=first + turn * AT_ONCE))
        if wire.depth(contender.queue("low")) == 0:
            break
        moments = publish_evenly(wire, [contender.envelope(message) for message in few], RATE)
        published |= {message.id: moment for message, moment in zip(few, moments, strict=True)}
        time.sleep(1 / RATE)
    if not published:
        raise NotDone("the backlog was gone at once: use a larger scale")
    return published


def _all_there(stage: Stage, contender: Contender, published: dict[str, float]) -> bool:
    assert contender.attempts is not None
    return published.keys() <= {
        attempt.id for attempt in attempts(stage.servers, contender.attempts)
    }


W5: Final = Workload(
    name="W5",
    title="Priority",
    what="100,000 `low` wait in the queue; while they drain, `urgent` ones come, ten a second. How long those "
    "wait, from publishing to sent. The peers consume two queues in the same processes.",
    columns=(
        Column("p50_ms", "urgent p50, ms", ",.1f"),
        Column("p99_ms", "urgent p99, ms", ",.1f"),
        Column("urgent", "urgent"),
        Column("rate", "low/s meanwhile"),
    ),
    measure=measure,
)
