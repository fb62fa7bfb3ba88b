"""What the statements about orders and circuits do, on tables in memory: there are no orders."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from tests.doubles.memory_tables import Row, Statement, Tables, unnest

from tidings.delivery.circuit import Phase
from tidings.ledger.operators import alerts, controls, dispatching, queue_ages

SAID: Final = ("channel", "provider", "phase", "reason", "since", "probe_in")


def last_orders(tables: Tables) -> Sequence[Row]:
    """The orders that count."""
    del tables
    return []


def alone(tables: Tables) -> Sequence[Row]:
    """In a transaction everybody is."""
    del tables
    return []


def known_circuits(tables: Tables, fresh: float) -> Sequence[Row]:
    """Circuits that a live worker reports as not closed."""
    since = tables.in_(-fresh)
    return [
        {"channel": channel, "provider": provider}
        for (channel, provider, _), (phase, seen_at) in tables.circuits.items()
        if phase != Phase.CLOSED and seen_at > since
    ]


def say(tables: Tables, worker: str, *columns: Sequence[Any]) -> Sequence[Row]:
    """How a worker has its circuits."""
    for circuit in unnest(SAID, columns):
        place = (circuit["channel"], circuit["provider"], worker)
        tables.circuits[place] = (circuit["phase"], tables.now())
    return []


def unsay(
    tables: Tables, worker: str, channels: Sequence[str], providers: Sequence[str]
) -> Sequence[Row]:
    """That a worker's other circuits are closed."""
    open_ = set(zip(channels, providers, strict=True))
    closed: tuple[str, datetime] = (Phase.CLOSED.value, tables.now())
    for place in tables.circuits:
        if place[2] == worker and place[:2] not in open_:
            tables.circuits[place] = closed
    return []


def note_pending(tables: Tables, topic: str, dead_letters: int) -> Sequence[Row]:
    """Alerts are not simulated."""
    tables.tell(f"ledger: {dead_letters} more to tell of {topic}")
    return []


def paused(tables: Tables) -> Sequence[Row]:
    """Whether dispatching is paused: nobody orders it."""
    del tables
    return []


def saw_queues(tables: Tables, *columns: object) -> Sequence[Row]:
    """What was in the queues: nobody asks how old messages are."""
    del tables, columns
    return []


CONTROL: Final[dict[str, Statement]] = {
    dispatching.PAUSED: paused,
    controls.LAST: last_orders,
    controls.ALONE: alone,
    controls.KNOWN: known_circuits,
    controls.SAY: say,
    controls.UNSAY: unsay,
    alerts.NOTE: note_pending,
    queue_ages.SAW: saw_queues,
}
