"""A JWK set (RFC 7517) from a URL: read when it is first needed, and again when it is old or a key is missing."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from typing import Final, Generic, TypeVar

import aiohttp
import structlog

log = structlog.get_logger(__name__)

FRESH: Final = 300.0
"""Seconds after which the set is read again: a key that its issuer withdrew counts no longer than that."""
COOLDOWN: Final = 10.0
"""Seconds between two readings: tokens with invented key ids must not make us call the issuer at will."""
PATIENCE: Final = 5.0
"""Seconds for one reading."""
LONGEST: Final = 256 * 1024
"""Bytes of a set."""

Key = TypeVar("Key")


class KeySetUnavailable(Exception):
    """The set was never read, or too long ago."""


class RemoteKeySet(Generic[Key]):
    """The keys at a URL by their ids.

    Args:
        url: `https://…`, or `http://` on this machine.
        parse: Makes keys of the document; raises `ValueError` for what is none.
        kept: Seconds for which keys count while the URL does not answer.
    """

    def __init__(
        self, url: str, parse: Callable[[object], Mapping[str, Key]], *, kept: float
    ) -> None:
        self._url = url
        self._parse = parse
        self._kept = kept
        self._keys: Mapping[str, Key] = {}
        self._read_at = self._tried_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self._answered = True

    async def find(self, id: str) -> Key | None:
        """The key with this id; None if the issuer has none.

        Raises:
            KeySetUnavailable: Nobody knows: the URL does not answer.
        """
        if id not in self._keys:
            await asyncio.shield(self._read_again())
        elif time.monotonic() - self._read_at > FRESH:
            self._read_again()  # nobody waits for it
        if time.monotonic() - self._read_at > max(self._kept, FRESH):
            raise KeySetUnavailable(self._url)
        return self._keys.get(id)

    def _read_again(self) -> asyncio.Task[None]:
        """The reading under way, a new one, or none if the last one was just now."""
        now = time.monotonic()
        if self._reading is None or (self._reading.done() and now - self._tried_at > COOLDOWN):
            self._tried_at = now
            self._reading = asyncio.create_task(self._read(), name="key set")
        return self._reading

    async def _read(self) -> None:
        try:
            self._keys = self._parse(json.loads(await self._fetch()))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            if self._answered:
                log.warning("key set could not be read", url=self._url, error=repr(error))
            self._answered = False
        else:
            self._read_at, self._answered = time.monotonic(), True

    async def _fetch(self) -> bytes:
        timeout = aiohttp.ClientTimeout(total=PATIENCE)
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
            session.get(self._url, allow_redirects=False) as reply,
        ):
            if reply.status != 200:
                raise ValueError(f"it answered {reply.status}")
            body = bytearray()
            async for part in reply.content.iter_any():
                body += part
                if len(body) > LONGEST:
                    raise ValueError(f"it is longer than {LONGEST:,} bytes")
            return bytes(body)
