"""What a worker asks for everything outside it, each of which whoever starts it may put something around."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from tidings.delivery.ports import Channel, Ledger, Publisher

Part = TypeVar("Part")


def _itself(part: Part) -> Part:
    return part


@dataclass(frozen=True, slots=True)
class Parts:
    """What each is given as, by default itself."""

    ledger: Callable[[Ledger], Ledger] = _itself
    channel: Callable[[Channel], Channel] = _itself
    publisher: Callable[[Publisher], Publisher] = _itself


USUAL: Final = Parts()
