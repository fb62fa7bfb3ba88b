"""Reads JSON from an OpenID provider, within limits, and keeps it for a while."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import aiohttp

PATIENCE: Final = 5.0
"""Seconds for one request."""
LONGEST: Final = 256 * 1024
"""Bytes of one reply."""
COOLDOWN: Final = 10.0
"""Seconds between two readings that a person asks for: nobody can make us call the provider at will."""

Document = TypeVar("Document")


class Unreadable(Exception):
    """A provider did not answer, or with something else; says what, for the log."""


@dataclass(frozen=True, slots=True)
class ProviderReply:
    """What a provider answered."""

    status: int
    data: Any
    """Its JSON."""


async def ask(
    method: str, url: str, *, headers: Mapping[str, str] | None = None, body: str | None = None
) -> ProviderReply:
    """Send one request. Redirections are not followed: a token or secret goes where the provider said, and nowhere else.

    Raises:
        Unreadable: There is no answer in time, it is too long, or it is no JSON.
    """
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    sent = {"Accept": "application/json", **(headers or {})}
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
            session.request(method, url, headers=sent, data=body, allow_redirects=False) as reply,
        ):
            read = bytearray()
            async for part in reply.content.iter_any():
                read += part
                if len(read) > LONGEST:
                    raise Unreadable(f"{url} answered more than {LONGEST:,} bytes")
            return ProviderReply(reply.status, json.loads(read))
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Unreadable(f"{url} does not answer: {error!r}") from None
    except (ValueError, RecursionError):
        raise Unreadable(f"{url} answered no JSON") from None


class KeptDocument(Generic[Document]):
    """A document that is read when it is first needed, and again when it is old.

    Args:
        read: Reads it; raises `Unreadable`.
        fresh: Seconds for which it is kept.
    """

    def __init__(self, read: Callable[[], Awaitable[Document]], fresh: float) -> None:
        self._read = read
        self._fresh = fresh
        self._turn = asyncio.Lock()
        self._read_at = float("-inf")
        self._document: Document | None = None
        self._fault: Unreadable | None = None

    @property
    def last(self) -> Document | None:
        """As it was read last, however old; None if it never was."""
        return self._document

    async def get(self, *, again: bool = False) -> Document:
        """The document.

        Args:
            again: Whether the kept one lacks something: it is read again, if that was not just now.

        Raises:
            Unreadable: It can't be read.
        """
        async with self._turn:
            age = time.monotonic() - self._read_at
            if self._document is None or age > self._fresh or (again and age > COOLDOWN):
                await self._renew()
            assert self._document is not None  # noqa: S101  # it was read, or that raised
            return self._document

    async def _renew(self) -> None:
        now = time.monotonic()
        if self._fault is not None and now - self._failed_at < 1.0:
            raise self._fault  # others waited for the same
        try:
            self._document, self._fault = await self._read(), None
        except Unreadable as fault:
            self._fault, self._failed_at = fault, time.monotonic()
            raise
        self._read_at = time.monotonic()

    _failed_at = float("-inf")
