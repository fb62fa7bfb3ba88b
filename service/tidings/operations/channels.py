"""How each channel and its providers fare: what operators ordered, and what workers find."""

from asyncio import gather
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tidings.channels.registry import LINES
from tidings.delivery.circuit import Phase
from tidings.delivery.orders import Order, pausing
from tidings.ledger import Ledger
from tidings.ledger.operators.controls import KnownCircuit
from tidings.settings import Settings

DELIVERING: Final = "delivering"
UNSERVED: Final = "no worker"
RESTING: Final = "resting"
"""No worker may ask any of its providers."""
PAUSED: Final = "paused"
HELD: Final = "held open"
DOWN: Final = "down"
RECOVERING: Final = "recovering"


@dataclass(frozen=True, slots=True)
class Condition:
    """Of one channel, or of one of its providers."""

    channel: str
    provider: str
    """Empty: the channel itself."""
    state: str
    since: datetime | None = None
    why: str = ""
    workers: int = 0
    """How many found it so…"""
    serving: int = 0
    """… of so many that serve the channel."""
    probe_at: datetime | None = None
    """When the next notification tries it."""


async def conditions(settings: Settings, ledger: Ledger) -> Sequence[Condition]:
    """Of every channel that is switched on here, served by a worker, or known to be in trouble."""
    orders, circuits, processes = await gather(
        ledger.controls.orders(), ledger.controls.down(), ledger.processes.known()
    )
    serving = {
        name: {one.actor for one in processes if one.running and name in one.channels}
        for name in LINES
    }
    named = {*(one.channel for one in orders), *(one.channel for one in circuits)}
    return [
        condition
        for name, line in LINES.items()
        if line.configured(settings) or name in named or serving[name]
        for condition in _of_channel(
            name,
            pausing(orders, name),
            settings.providers(name),
            [one for one in circuits if one.channel == name],
            serving[name],
        )
    ]


def _of_channel(
    name: str,
    pause: Order | None,
    providers: Sequence[str],
    circuits: Sequence[KnownCircuit],
    serving: Set[str],
) -> Iterator[Condition]:
    """The channel itself, then each of its providers."""
    known = dict.fromkeys((*providers, *(one.provider for one in circuits)))
    every = [
        _provider(name, provider, [one for one in circuits if one.provider == provider], serving)
        for provider in known
    ]
    yield _channel(name, pause, _resting(providers, circuits, serving), serving)
    yield from every


def _resting(
    providers: Sequence[str], circuits: Iterable[KnownCircuit], serving: Set[str]
) -> Sequence[str]:
    """The workers that may ask no provider of the channel; each learns by itself which are down."""
    shut = {(one.worker, one.provider) for one in circuits if _state(one.phase) in (DOWN, HELD)}
    return [
        worker for worker in serving if all((worker, provider) in shut for provider in providers)
    ]


def _channel(
    name: str, pause: Order | None, resting: Sequence[str], serving: Set[str]
) -> Condition:
    if pause is not None:
        return Condition(
            name, "", PAUSED, pause.at, ": ".join(filter(None, (pause.actor, pause.reason)))
        )
    if not serving:
        return Condition(name, "", UNSERVED, why="no worker that runs serves it")
    if len(resting) == len(serving):
        return Condition(
            name,
            "",
            RESTING,
            None,
            "none of its providers may be asked",
            len(resting),
            len(serving),
        )
    return Condition(
        name, "", DELIVERING, workers=len(serving) - len(resting), serving=len(serving)
    )


def _provider(
    channel: str, name: str, told: Sequence[KnownCircuit], serving: Set[str]
) -> Condition:
    """As the worker has it that has known it for longest."""
    if not told:
        return Condition(channel, name, DELIVERING if serving else UNSERVED)
    first = min(told, key=lambda one: one.since)
    probes = [one.probe_at for one in told if one.probe_at is not None]
    return Condition(
        channel,
        name,
        _state(first.phase),
        first.since,
        first.reason,
        len(told),
        len(serving),
        min(probes, default=None),
    )


def _state(phase: Phase) -> str:
    match phase:
        case Phase.CLOSED:
            return DELIVERING
        case Phase.RAMPING:
            return RECOVERING
        case Phase.HELD:
            return HELD
        case Phase.OPEN | Phase.PROBING:
            return DOWN
