"""Wrappers around a worker's ledger, publisher and each provider's channel; by default none."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from tidings.delivery.ports import Channel, Ledger, Publisher

Part = TypeVar("Part")


def _itself(part: Part) -> Part:
    return part


@dataclass(frozen=True, slots=True)
class Parts:
    """A wrapper for each part."""

    ledger: Callable[[Ledger], Ledger] = _itself
    channel: Callable[[Channel], Channel] = _itself
    publisher: Callable[[Publisher], Publisher] = _itself


NO_WRAPPERS: Final = Parts()
