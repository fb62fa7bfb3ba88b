"""Channels and their providers: their status, and orders to all workers."""

from asyncio import gather
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final

from tidings.channels.registry import SPECS, is_configured
from tidings.delivery.circuit import Phase
from tidings.delivery.errors import InvalidRequest
from tidings.delivery.orders import WHOLE_CHANNEL, Order, Verb, pausing
from tidings.ledger.operators.controls import ReportedCircuit
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.json_views import renamed
from tidings.operations.pages import PageView
from tidings.operations.suggestions import unknown

DELIVERING: Final = "delivering"
UNSERVED: Final = "no_worker"
SUSPENDED: Final = "suspended"
"""No worker may use any of its providers."""
PAUSED: Final = "paused"
DISABLED: Final = "disabled"
DOWN: Final = "down"
RECOVERING: Final = "recovering"


@dataclass(frozen=True, slots=True)
class ChannelStatus:
    """Of one channel, or of one of its providers."""

    channel: str
    provider: str
    """Empty: the channel itself."""
    state: str
    since: datetime | None = None
    reason: str = ""
    workers: int = 0
    """Workers that report this state…"""
    serving: int = 0
    """… of those that serve the channel."""
    probe_at: datetime | None = None
    """When the next notification probes it."""
    recorded_as: str = ""
    """The provider's name in attempts and statistics, which several may share; empty if it is not configured here."""

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        data = renamed(self, {"workers": "worker_count", "serving": "serving_count"})
        return {
            **data,
            "provider": self.provider or None,
            "reason": self.reason or None,
            "recorded_as": self.recorded_as or None,
        }


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """An order to all workers about a channel, or about one of its providers."""

    channel: str
    provider: str | None = None
    """Its name; may be left out if the channel has only one."""
    note: str = ""
    """Kept in the history."""


@dataclass(frozen=True, slots=True)
class HistoryRequest:
    """The newest orders."""

    channel: str | None = None
    """Only those about this one."""
    limit: int = 50


@dataclass(frozen=True, slots=True)
class OrderView:
    """The result of an order."""

    channel: str
    provider: str
    """Empty: the channel itself."""
    changed: bool
    """Whether anything changed."""

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return {**asdict(self), "provider": self.provider or None}


async def conditions(backend: Backend) -> Sequence[ChannelStatus]:
    """Status of every channel that is configured here, served by a worker, or reported by one."""
    settings, ledger = backend.settings, backend.ledger
    orders, circuits, processes = await gather(
        ledger.controls.orders(), ledger.controls.down(), ledger.processes.known()
    )
    serving = {
        name: {
            process.actor for process in processes if process.running and name in process.channels
        }
        for name in SPECS
    }
    named = {*(order.channel for order in orders), *(circuit.channel for circuit in circuits)}
    return [
        condition
        for name in SPECS
        if is_configured(settings, name) or name in named or serving[name]
        for condition in _of_channel(
            name,
            pausing(orders, name),
            settings.recorded_as[name],
            [circuit for circuit in circuits if circuit.channel == name],
            serving[name],
        )
    ]


async def list_(backend: Backend) -> PageView[ChannelStatus]:
    """The same, in one page: no other follows."""
    return PageView(tuple(await conditions(backend)))


async def pause(backend: Backend, actor: Actor, request: OrderRequest) -> OrderView:
    """Let no worker take anything more of a channel; a further reason is noted, if it is paused already."""
    return await _order_channel(backend, actor, request, Verb.PAUSE)


async def resume(backend: Backend, actor: Actor, request: OrderRequest) -> OrderView:
    """Resume a paused channel."""
    return await _order_channel(backend, actor, request, Verb.RESUME)


async def _order_channel(
    backend: Backend, actor: Actor, request: OrderRequest, verb: Verb
) -> OrderView:
    channel, controls = _known(request.channel), backend.ledger.controls
    paused = pausing(await controls.orders(), channel) is not None
    changes = paused == (verb is Verb.RESUME)
    if changes or (verb is Verb.PAUSE and request.note.strip()):
        await controls.give(channel, WHOLE_CHANNEL, verb, actor=str(actor), note=request.note)
    return OrderView(channel, WHOLE_CHANNEL, changes)


async def disable_provider(backend: Backend, actor: Actor, request: OrderRequest) -> OrderView:
    """Stop all workers using a provider until it is enabled again."""
    return await _order_provider(backend, actor, request, Verb.DISABLE)


async def enable_provider(backend: Backend, actor: Actor, request: OrderRequest) -> OrderView:
    """Let workers use a provider again at once: it was disabled, or down."""
    return await _order_provider(backend, actor, request, Verb.ENABLE)


async def _order_provider(
    backend: Backend, actor: Actor, request: OrderRequest, verb: Verb
) -> OrderView:
    channel = _known(request.channel)
    known = backend.settings.providers(channel)
    if request.provider is None and len(known) > 1:
        raise InvalidRequest(
            f"{channel} has several: name one of {', '.join(known)}", field="provider"
        )
    provider = request.provider or known[0]
    if provider not in known:
        raise InvalidRequest(unknown(provider, known), field="provider")
    await backend.ledger.controls.give(channel, provider, verb, actor=str(actor), note=request.note)
    return OrderView(channel, provider, changed=True)


async def history(backend: Backend, request: HistoryRequest) -> Sequence[Order]:
    """Orders, newest first."""
    channel = request.channel and _known(request.channel)
    return await backend.ledger.controls.history(channel, request.limit)


def _known(channel: str) -> str:
    if channel not in SPECS:
        raise InvalidRequest(unknown(channel, SPECS), field="channel")
    return channel


def _of_channel(
    name: str,
    pause: Order | None,
    providers: Mapping[str, str],
    circuits: Sequence[ReportedCircuit],
    serving: Set[str],
) -> Iterator[ChannelStatus]:
    """The channel itself, then each of its providers.

    Args:
        providers: Those that are configured here, by name, and the name under which attempts record each.
    """
    known = dict.fromkeys((*providers, *(circuit.provider for circuit in circuits)))
    every = [
        replace(
            _provider(
                name,
                provider,
                [circuit for circuit in circuits if circuit.provider == provider],
                serving,
            ),
            recorded_as=providers.get(provider, ""),
        )
        for provider in known
    ]
    yield _channel(name, pause, _suspended(list(providers), circuits, serving), serving)
    yield from every


def _suspended(
    providers: Sequence[str], circuits: Iterable[ReportedCircuit], serving: Set[str]
) -> Sequence[str]:
    """The workers that may use no provider of the channel; each finds out by itself which are down."""
    shut = {
        (circuit.worker, circuit.provider)
        for circuit in circuits
        if _state(circuit.phase) in (DOWN, DISABLED)
    }
    return [
        worker for worker in serving if all((worker, provider) in shut for provider in providers)
    ]


def _channel(
    name: str, pause: Order | None, suspended: Sequence[str], serving: Set[str]
) -> ChannelStatus:
    if pause is not None:
        return ChannelStatus(
            name, "", PAUSED, pause.at, ": ".join(filter(None, (pause.actor, pause.note)))
        )
    if not serving:
        return ChannelStatus(name, "", UNSERVED, reason="no running worker serves it")
    if len(suspended) == len(serving):
        return ChannelStatus(
            name,
            "",
            SUSPENDED,
            None,
            "none of its providers is available",
            len(suspended),
            len(serving),
        )
    return ChannelStatus(
        name, "", DELIVERING, workers=len(serving) - len(suspended), serving=len(serving)
    )


def _provider(
    channel: str, name: str, circuits: Sequence[ReportedCircuit], serving: Set[str]
) -> ChannelStatus:
    """As reported by the worker that has known it longest."""
    if not circuits:
        return ChannelStatus(channel, name, DELIVERING if serving else UNSERVED)
    first = min(circuits, key=lambda circuit: circuit.since)
    probes = [circuit.probe_at for circuit in circuits if circuit.probe_at is not None]
    return ChannelStatus(
        channel,
        name,
        _state(first.phase),
        first.since,
        first.reason,
        len(circuits),
        len(serving),
        min(probes, default=None),
    )


def _state(phase: Phase) -> str:
    match phase:
        case Phase.CLOSED:
            return DELIVERING
        case Phase.RAMPING:
            return RECOVERING
        case Phase.DISABLED:
            return DISABLED
        case Phase.OPEN | Phase.PROBING:
            return DOWN
