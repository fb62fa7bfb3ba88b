"""Revocation of end users' tokens: kept in the memory of each process, so that no request waits for PostgreSQL to be let in."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import structlog

from tidings.delivery.errors import LedgerUnavailable, TidingsError
from tidings.ledger.operators.token_revocations import TokenRevocation, TokenRevocations
from tidings.operations.actor import Actor
from tidings.operations.json_views import renamed

if TYPE_CHECKING:
    from tidings.operations.backend import Backend

log = structlog.get_logger(__name__)

OVERLAP: Final = timedelta(minutes=5)
"""How far back revocations are read again: an earlier one may be committed after a later one, which has been read."""

Listener: TypeAlias = Callable[[TokenRevocation], None]


class RevokedTokens:
    """From when on tokens of each user count.

    While PostgreSQL is away, what was read last counts: without it nobody can revoke a token either.

    Args:
        stored: Where revocations are stored.
    """

    def __init__(self, stored: TokenRevocations) -> None:
        self._stored = stored
        self._not_before: dict[tuple[str, str], datetime] = {}
        self._latest: datetime | None = None
        self._listeners: list[Listener] = []
        self._answered = True
        self.loaded = False
        """Whether the revocations are known."""

    def is_revoked(self, tenant: str, user_id: str, issued_at: datetime | None) -> bool:
        """Whether a token of this user that was issued at this time does not count any more.

        Args:
            issued_at: None if the token does not say: then it is as old as can be.

        Raises:
            LedgerUnavailable: The revocations were never read.
        """
        if not self.loaded:
            raise LedgerUnavailable("the revocations of tokens could not be read from PostgreSQL")
        not_before = self._not_before.get((tenant, user_id))
        return not_before is not None and (issued_at is None or issued_at < not_before)

    def listen(self, listener: Listener) -> None:
        """Call this with each revocation that becomes known from now on, soon after it is made in whatever process.

        Args:
            listener: Called from the event loop; it must neither wait nor raise.
        """
        self._listeners.append(listener)

    async def revoke(self, tenant: str, user_id: str, *, actor: str, note: str) -> TokenRevocation:
        """Revoke all tokens of a user that were issued until now, here at once.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable.
        """
        revocation = await self._stored.revoke(tenant, user_id, actor=actor, note=note)
        self._learn(revocation)
        return revocation

    async def refresh(self) -> None:
        """Read what was revoked since the last time.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable.
        """
        since = self._latest - OVERLAP if self.loaded and self._latest is not None else None
        for revocation in await self._stored.since(since):
            self._learn(revocation)
        self.loaded = self._answered = True

    def missed(self, error: TidingsError) -> None:
        """They could not be read; logged once."""
        if self._answered:
            log.warning("revocations of tokens could not be read", error=str(error))
        self._answered = False

    def _learn(self, revocation: TokenRevocation) -> None:
        user, not_before = (revocation.tenant, revocation.user_id), revocation.not_before
        if self._latest is None or not_before > self._latest:
            self._latest = not_before
        known = self._not_before.get(user)
        if known is not None and known >= not_before:
            return
        self._not_before[user] = not_before
        for listener in self._listeners:
            listener(revocation)


@dataclass(frozen=True, slots=True)
class RevokeTokensRequest:
    """Whose tokens are to be revoked."""

    tenant: str
    user_id: str
    note: str = ""
    """Kept in the audit trail."""


@dataclass(frozen=True, slots=True)
class RevokedTokensView:
    """From when on tokens of a user count."""

    revocation: TokenRevocation

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return renamed(self.revocation, {"not_before": "valid_since"})


async def revoke_tokens(
    backend: "Backend", actor: Actor, request: RevokeTokensRequest
) -> RevokedTokensView:
    """Revoke all tokens of a user that were issued until now, in every process.

    Raises:
        LedgerUnavailable: PostgreSQL is unavailable: nothing was revoked.
    """
    return RevokedTokensView(
        await backend.revoked_tokens.revoke(
            request.tenant, request.user_id, actor=str(actor), note=request.note
        )
    )
