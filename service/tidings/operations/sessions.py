"""Sessions of the console: opened, found by their token, listed, ended."""

import hmac
import secrets
from collections.abc import Collection
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from tidings.delivery.errors import InvalidRequest, NotFound
from tidings.ledger.operators.console_sessions import ConsoleSession
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.pages import PageView
from tidings_events.notifications.base import new_id

__all__ = [
    "ConsoleSession",
    "EndSessionRequest",
    "ListSessionsRequest",
    "OpenSessionRequest",
    "SessionView",
    "csrf_token",
    "end",
    "end_other",
    "find",
    "list_",
    "open_",
]

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
    subject: str = ""
    """Id of the person at the OpenID provider that proved it."""


@dataclass(frozen=True, slots=True)
class SessionView:
    """A session, without its token."""

    session: ConsoleSession

    @property
    def by(self) -> str:
        """How the person signed in."""
        key = self.session.api_key
        return "OpenID Connect" if key is None else f"API key {key}"

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return asdict(self.session)


@dataclass(frozen=True, slots=True)
class ListSessionsRequest:
    """Sessions to be listed."""

    tenant: str | None = None
    """Only those of people who see this tenant and no other."""
    test: bool = False
    """Only those that see tests only."""


@dataclass(frozen=True, slots=True)
class EndSessionRequest:
    """A session to be ended, of those that a `ListSessionsRequest` shows."""

    id: str
    tenant: str | None = None
    test: bool = False
    note: str = ""
    """Kept in the audit trail."""


async def open_(backend: Backend, actor: Actor, request: OpenSessionRequest) -> str:
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
        actor=str(actor),
        subject=request.subject,
    )
    return token


async def find(backend: Backend, token: str, *, used: bool = True) -> ConsoleSession | None:
    """The session of a token; None if there is none or it is over. Raises like `open_`.

    Args:
        backend: For the operation.
        token: Of the session.
        used: Whether its person does something, so that it does not idle out.
    """
    return await backend.ledger.console_sessions.find(
        _digest(token), idle=backend.settings.console.idle, used=used
    )


async def end(backend: Backend, token: str, actor: Actor | None = None) -> None:
    """End the session of a token; in the audit trail if an actor signs out. Raises like `open_`."""
    signed_out = None if actor is None else str(actor)
    await backend.ledger.console_sessions.end(_digest(token), actor=signed_out)


async def list_(backend: Backend, request: ListSessionsRequest) -> PageView[SessionView]:
    """Who is signed in, the newest first, in one page. Raises like `open_`."""
    found = await backend.ledger.console_sessions.list(
        request.tenant, only_tests=request.test, idle=backend.settings.console.idle
    )
    return PageView(tuple(map(SessionView, found)))


async def end_other(backend: Backend, actor: Actor, request: EndSessionRequest) -> SessionView:
    """End somebody's session at once, in every process.

    Raises:
        InvalidRequest: The id is none.
        NotFound: There is no such session, or it is over.
        LedgerUnavailable: PostgreSQL is unavailable.
    """
    try:
        id_ = UUID(request.id)
    except ValueError:
        raise InvalidRequest(f"{request.id!r} is no id of a session", field="id") from None
    ended = await backend.ledger.console_sessions.end_other(
        id_, request.tenant, only_tests=request.test, actor=str(actor), note=request.note
    )
    if ended is None:
        raise NotFound("there is no such session: it is over")
    return SessionView(ended)


def csrf_token(token: str) -> str:
    """What forms of a session must send: it proves that their sender has seen a page of that session."""
    return hmac.new(token.encode(), b"console form", sha256).hexdigest()


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
