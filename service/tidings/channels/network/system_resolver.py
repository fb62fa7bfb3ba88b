"""What aiohttp resolves names with: the system, by look-ups that wait for no other."""

import asyncio
import socket
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

from tidings.channels.network.lookups import Lookups, numeric

PATIENCE: Final = 10.0
"""Seconds after which nobody waits for an answer any more: a request has given up connecting by then, of which aiohttp
says nothing here."""


class SystemResolver(AbstractResolver):
    """The system's answers, for aiohttp."""

    def __init__(self) -> None:
        self._lookups = Lookups()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a name, of families that this machine has.

        Raises:
            OSError: It has none, or nobody could tell in time.
        """
        async with asyncio.timeout(PATIENCE):
            found = await self._lookups.find(host, family=family, flags=socket.AI_ADDRCONFIG)
        return [
            ResolveResult(
                hostname=host,
                host=numeric(address),
                port=port,
                family=address[0],
                proto=address[2],
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in found
        ]

    async def close(self) -> None:
        """Wait for no look-up any more."""
        self._lookups.close()
