"""The API keys in the memory of one process: found without a query, and renewed as soon as one changes."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import structlog

from tidings.delivery.errors import LedgerUnavailable, TidingsError
from tidings.ledger.operators.api_keys import ApiKey, ApiKeys
from tidings.operations.api_key_format import digest, is_well_formed

log = structlog.get_logger(__name__)

WRITTEN_EVERY: Final = 30.0
"""Seconds between two writes of when keys were used last."""


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

    def missed(self, error: TidingsError) -> None:
        """They could not be read; logged once."""
        if self._answered:
            log.warning("API keys could not be read", error=str(error), kept_seconds=self._kept)
        self._answered = False
