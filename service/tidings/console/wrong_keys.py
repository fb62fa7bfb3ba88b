"""Counts wrong keys by address, so that whoever tries many is not answered like a person who mistyped one."""

import time
from ipaddress import IPv6Address, ip_address
from typing import Final

MOST: Final = 10
"""Wrong keys of one address in a window."""
WINDOW: Final = 60.0
"""Seconds."""
ADDRESSES: Final = 10_000
"""Addresses in memory, from which on those whose window is over are dropped, and then the oldest."""


class WrongKeys:
    """The wrong keys of each address, in this process.

    A right key is always let in, whatever its address did before: behind a proxy many people have one address, and
    nobody may lock out the others. Keys can't be guessed (256 random bits), so the limit spares the log and the server.
    """

    def __init__(self) -> None:
        self._windows: dict[str, tuple[float, int]] = {}

    def count(self, address: str, now: float | None = None) -> int:
        """Count a wrong key; returns how many the address had in its window.

        Args:
            address: As the connection has it; of IPv6 its /64 counts, which one person has whole.
            now: Seconds of a monotonic clock.
        """
        now = time.monotonic() if now is None else now
        place = _network(address)
        began, count = self._windows.pop(place, (now, 0))
        if now - began > WINDOW:
            began, count = now, 0
        self._windows[place] = (began, count + 1)
        if len(self._windows) > ADDRESSES:
            self._forget(now)
        return count + 1

    def _forget(self, now: float) -> None:
        current = [it for it in self._windows.items() if now - it[1][0] <= WINDOW]
        self._windows = dict(current[-ADDRESSES // 2 :])


def _network(address: str) -> str:
    try:
        read = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(read, IPv6Address) and read.ipv4_mapped is None:
        return str(IPv6Address(int(read) >> 64 << 64))
    return str(read)
