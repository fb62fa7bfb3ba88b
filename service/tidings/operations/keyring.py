"""The API keys in the memory of one process: found without a query, and renewed as soon as one changes."""

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import structlog

from tidings.delivery.errors import LedgerUnavailable, TidingsError
from tidings.ledger.operators.api_keys import ApiKey, ApiKeys
from tidings.operations.api_key_format import digest, is_well_formed

log = structlog.get_logger(__name__)

EVERY: Final = 5.0
"""Seconds after which the keys are read again in any case: a pooler or a cut connection may lose a NOTIFY."""
WRITTEN_EVERY: Final = 30.0
"""Seconds between two writes of when keys were used last."""
PAUSE: Final = 1.0
"""Seconds after an attempt that failed."""


class Keyring:
    """Every valid key, by its hash.

    While PostgreSQL is unavailable the keys that were read last go on working, for `kept` seconds: what the API
    accepts must not depend on PostgreSQL, and without it nobody can revoke a key either.

    Args:
        api_keys: Where they are stored.
        kept: Seconds for which they count after they were read.
    """

    def __init__(self, api_keys: ApiKeys, *, kept: float) -> None:
        self._api_keys = api_keys
        self._kept = kept
        self._keys: Mapping[bytes, ApiKey] = {}
        self._read_at: float | None = None
        self._used: dict[str, datetime] = {}
        self._written_at = 0.0
        self._answered = True

    @property
    def loaded(self) -> bool:
        """Whether the keys are known and count."""
        return self._read_at is not None and time.monotonic() - self._read_at <= self._kept

    def find(self, secret: str) -> ApiKey | None:
        """The key with this secret; None if there is none that is valid.

        Raises:
            LedgerUnavailable: The keys are not known, or were read too long ago.
        """
        if not is_well_formed(secret):
            return None
        if not self.loaded:
            raise LedgerUnavailable("the API keys could not be read from PostgreSQL")
        key = self._keys.get(digest(secret))
        if key is None or (key.expires_at is not None and key.expires_at <= datetime.now(UTC)):
            return None
        self._used[key.prefix] = datetime.now(UTC)
        return key

    async def keep_for_ever(self) -> None:
        """Read the keys, and again whenever one changes, until cancelled."""
        wake = asyncio.Event()
        while True:
            try:
                async with self._api_keys.changes(wake) as listening:
                    while listening():
                        wake.clear()
                        await self.refresh()
                        await _set_within(wake, EVERY)
            except TidingsError as error:
                self._missed(error)
            try:
                await self.refresh()  # a pooler may have no session to listen in
            except TidingsError as error:
                self._missed(error)
            await asyncio.sleep(PAUSE)

    async def refresh(self) -> None:
        """Read the keys, and write when they were used.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable; the keys read before count for a while.
        """
        self._keys = await self._api_keys.valid()
        self._read_at = time.monotonic()
        self._answered = True
        if time.monotonic() - self._written_at > WRITTEN_EVERY:
            await self.write()

    async def write(self) -> None:
        """Write when keys were used last. Raises like `refresh`."""
        used, self._used = self._used, {}
        if not used:
            return
        try:
            await self._api_keys.used(used)
        except TidingsError:
            self._used = {**used, **self._used}
            raise
        self._written_at = time.monotonic()

    def _missed(self, error: TidingsError) -> None:
        if self._answered:
            log.warning("API keys could not be read", error=str(error), kept_seconds=self._kept)
        self._answered = False


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
