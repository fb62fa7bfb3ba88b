"""Looks names up, each in a thread of its own: a name server that does not answer for one keeps no other waiting.

`loop.getaddrinfo` has four threads for all (uvloop's), and a look-up can't be stopped: four names that hang, which
anybody may put into a webhook, and nothing connects, not even to RabbitMQ.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Final, TypeAlias

from tidings.runtime.background import in_a_thread

MOST: Final = 128
"""Names that are looked up at once of domains that are known to answer, and as many of others."""
OF_A_ZONE: Final = 8
"""Of those, names of one domain: its name servers answer for all of them, or for none."""
SOON: Final = 2.0
"""Seconds within which name servers answer: those of a domain that took longer are not known to."""
KNOWN: Final = 10_000
"""Domains remembered whose name servers answered soon, the last time."""
LIMIT: Final = 30.0
"""Seconds after which a look-up counts as failed, though its thread may go on."""

Address: TypeAlias = tuple[Any, ...]
"""As `socket.getaddrinfo` returns it."""
_Key: TypeAlias = tuple[str, int, int]


@dataclass(slots=True)
class _Line:
    """Those who look up names of one domain."""

    places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(OF_A_ZONE))
    users: int = 0


class Lookups:
    """Look-ups under way; who asks for a name that is being looked up waits for the same answer."""

    def __init__(self) -> None:
        self._pending: dict[_Key, asyncio.Task[list[Address]]] = {}
        self._waiting: dict[_Key, int] = {}
        self._places = asyncio.Semaphore(MOST)
        self._known_places = asyncio.Semaphore(MOST)
        """For domains that are known to answer: however many others hang, they wait for none."""
        self._known: dict[str, None] = {}
        self._lines: dict[str, _Line] = {}

    async def find(
        self, host: str, *, family: int = socket.AF_UNSPEC, flags: int = 0
    ) -> list[Address]:
        """The addresses of a name, for TCP, with port 0.

        Cancelling it leaves the look-up to others who wait for it.

        Raises:
            OSError: It has none, or nobody could tell in time.
            RuntimeError: No thread can be started.
        """
        key = host, family, flags
        if _is_numeric(host):
            return list(socket.getaddrinfo(host, 0, family, socket.SOCK_STREAM))
        task = self._pending.get(key)
        if task is None:
            task = self._pending[key] = asyncio.create_task(self._look_up(key))
            task.add_done_callback(_noticed)
        self._waiting[key] = self._waiting.get(key, 0) + 1
        try:
            await asyncio.wait((task,))
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key]
        if task.cancelled():
            raise OSError("the look-up was given up")
        return task.result()

    def close(self) -> None:
        """Wait for none of them any more."""
        for task in self._pending.values():
            task.cancel()

    async def _look_up(self, key: _Key) -> list[Address]:
        domain = zone(key[0])
        try:
            async with self._place(domain):
                if key not in self._waiting:
                    raise TimeoutError("nobody waits for this name any more")
                with self._learning(domain):
                    async with asyncio.timeout(LIMIT):
                        return await in_a_thread("look a name up", lambda: _addresses(key))
        finally:
            # In this moment: whoever asks now must not get what nobody waited for.
            del self._pending[key]

    @asynccontextmanager
    async def _place(self, zone: str) -> AsyncIterator[None]:
        line = self._lines.setdefault(zone, _Line())
        line.users += 1
        try:
            async with line.places, self._known_places if zone in self._known else self._places:
                yield
        finally:
            line.users -= 1
            if not line.users:
                del self._lines[zone]

    @contextmanager
    def _learning(self, zone: str) -> Iterator[None]:
        """Learn whether the name servers of a domain answer soon, from a look-up."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        late = loop.call_later(SOON, self._known.pop, zone, None)
        try:
            yield
        finally:
            late.cancel()
            if loop.time() - began < SOON:
                self._known.pop(zone, None)
                self._known[zone] = None
                if len(self._known) > KNOWN:
                    del self._known[next(iter(self._known))]


def _noticed(task: asyncio.Task[list[Address]]) -> None:
    if not task.cancelled():
        task.exception()  # perhaps nobody waits for it any more


def _is_numeric(host: str) -> bool:
    with suppress(ValueError):
        ip_address(host)
        return True
    return False


def zone(host: str) -> str:
    """The domain that a name belongs to, near enough: two labels, or three below those like `co.uk`."""
    labels = host.rstrip(".").lower().split(".")
    shared = len(labels) > 2 and len(labels[-1]) == 2 and len(labels[-2]) <= 3
    return ".".join(labels[-3 if shared else -2 :])


def _addresses(key: _Key) -> list[Address]:
    host, family, flags = key
    return list(socket.getaddrinfo(host, 0, family, socket.SOCK_STREAM, 0, flags))


def numeric(address: Address) -> str:
    """An address as it is written, with the interface of a link-local one."""
    flags = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    return socket.getnameinfo(address[4], flags)[0]
