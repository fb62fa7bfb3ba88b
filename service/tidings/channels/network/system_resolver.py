"""aiohttp's resolver: the system's, through `Lookups`."""

import asyncio
import socket
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

from tidings.channels.network.lookups import Lookups, numeric

PATIENCE: Final = 10.0
"""Seconds for a look-up: by then a request has given up connecting, which aiohttp doesn't signal to a resolver."""


class SystemResolver(AbstractResolver):
    """The system's answers, for aiohttp."""

    def __init__(self) -> None:
        self._lookups = Lookups()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a name, of address families that this machine has.

        Raises:
            OSError: It has none, or the look-up timed out.
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
        """Cancel all look-ups."""
        self._lookups.close()
