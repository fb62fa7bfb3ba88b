"""DNS look-ups, each in its own thread: a name server that does not answer delays no other look-up.

`loop.getaddrinfo` has four threads in all (uvloop's), and a look-up can't be cancelled: with four names that hang,
which any webhook may contain, nothing can connect any more, not even to RabbitMQ.
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
"""Concurrent look-ups in domains that are known to answer, and as many in others."""
OF_A_ZONE: Final = 8
"""Concurrent look-ups in one domain: its name servers answer for all names, or for none."""
SOON: Final = 2.0
"""Seconds in which name servers answer; a domain whose servers take longer doesn't count as known."""
KNOWN: Final = 10_000
"""Domains remembered whose name servers last answered within `SOON`."""
LIMIT: Final = 30.0
"""Seconds after which a look-up counts as failed, though its thread may continue."""

Address: TypeAlias = tuple[Any, ...]
"""An item of `socket.getaddrinfo`'s result."""
_Key: TypeAlias = tuple[str, int, int]


@dataclass(slots=True)
class _Zone:
    """Look-ups in one domain."""

    places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(OF_A_ZONE))
    users: int = 0


class Lookups:
    """Runs look-ups; concurrent ones of the same name share one."""

    def __init__(self) -> None:
        self._pending: dict[_Key, asyncio.Task[list[Address]]] = {}
        self._waiting: dict[_Key, int] = {}
        self._places = asyncio.Semaphore(MOST)
        self._known_places = asyncio.Semaphore(MOST)
        """For domains that are known to answer: they don't wait for others that hang."""
        self._known: dict[str, None] = {}
        self._zones: dict[str, _Zone] = {}

    async def find(
        self, host: str, *, family: int = socket.AF_UNSPEC, flags: int = 0
    ) -> list[Address]:
        """The addresses of a name, for TCP, with port 0.

        Cancelling it does not cancel the look-up for others that wait for it.

        Raises:
            OSError: It has none, or the look-up timed out.
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
            raise OSError("the look-up was cancelled")
        return task.result()

    def close(self) -> None:
        """Cancel all look-ups."""
        for task in self._pending.values():
            task.cancel()

    async def _look_up(self, key: _Key) -> list[Address]:
        domain = zone(key[0])
        try:
            async with self._place(domain):
                if key not in self._waiting:
                    raise TimeoutError("all waiters were cancelled")
                with self._learning(domain):
                    async with asyncio.timeout(LIMIT):
                        return await in_a_thread("look a name up", lambda: _addresses(key))
        finally:
            # At once: a new caller must not get the result of an abandoned look-up.
            del self._pending[key]

    @asynccontextmanager
    async def _place(self, zone: str) -> AsyncIterator[None]:
        queue = self._zones.setdefault(zone, _Zone())
        queue.users += 1
        try:
            async with queue.places, self._known_places if zone in self._known else self._places:
                yield
        finally:
            queue.users -= 1
            if not queue.users:
                del self._zones[zone]

    @contextmanager
    def _learning(self, zone: str) -> Iterator[None]:
        """Learn from a look-up whether the name servers of a domain answer within `SOON`."""
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
        task.exception()  # marks it as retrieved: all waiters may be gone


def _is_numeric(host: str) -> bool:
    with suppress(ValueError):
        ip_address(host)
        return True
    return False


def zone(host: str) -> str:
    """The domain of a name, approximately: two labels, or three below domains like `co.uk`."""
    labels = host.rstrip(".").lower().split(".")
    shared = len(labels) > 2 and len(labels[-1]) == 2 and len(labels[-2]) <= 3
    return ".".join(labels[-3 if shared else -2 :])


def _addresses(key: _Key) -> list[Address]:
    host, family, flags = key
    return list(socket.getaddrinfo(host, 0, family, socket.SOCK_STREAM, 0, flags))


def numeric(address: Address) -> str:
    """The numeric form of an address, with the interface of a link-local one."""
    flags = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    return socket.getnameinfo(address[4], flags)[0]
