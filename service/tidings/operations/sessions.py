"""Sessions of the console: opened, found by their token, ended."""

import hmac
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from tidings.ledger.operators.console_sessions import ConsoleSession
from tidings.operations.backend import Backend
from tidings_events.notifications.base import new_id

__all__ = ["ConsoleSession", "OpenSessionRequest", "csrf_token", "end", "find", "open_"]

TOKEN_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class OpenSessionRequest:
    """A person who has proved who they are."""

    name: str
    tenant: str
    """`*`: all tenants."""
    scopes: Collection[str]
    test: bool = False
    api_key: str | None = None
    """Prefix of the key that proved it."""


async def open_(backend: Backend, request: OpenSessionRequest) -> str:
    """Open a session; returns its token, which is stored nowhere.

    Raises:
        LedgerUnavailable: PostgreSQL is unavailable.
    """
    token, settings = secrets.token_urlsafe(TOKEN_BYTES), backend.settings.console
    await backend.ledger.console_sessions.open(
        _digest(token),
        new_id(),
        name=request.name,
        tenant=request.tenant,
        scopes=sorted(request.scopes),
        test=request.test,
        api_key=request.api_key,
        lasts=settings.session,
        idle=settings.idle,
    )
    return token


async def find(backend: Backend, token: str) -> ConsoleSession | None:
    """The session of a token; None if there is none or it is over. Raises like `open_`."""
    return await backend.ledger.console_sessions.find(
        _digest(token), idle=backend.settings.console.idle
    )


async def end(backend: Backend, token: str) -> None:
    """End a session. Raises like `open_`."""
    await backend.ledger.console_sessions.end(_digest(token))


def csrf_token(token: str) -> str:
    """What forms of a session must send: it proves that their sender has seen a page of that session."""
    return hmac.new(token.encode(), b"console form", sha256).hexdigest()


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
