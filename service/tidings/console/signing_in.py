"""Opens and ends sessions for people who have proved who they are, with an API key or at an OpenID provider."""

from starlette.requests import Request

from tidings.console.cookies import Cookies
from tidings.console.openid.identity import Identity
from tidings.console.page import ConsoleServices
from tidings.console.sessions import PATIENCE, SESSION
from tidings.operations import sessions
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.roles import SCOPES
from tidings.operations.scopes import Scope
from tidings.operations.sessions import OpenSessionRequest
from tidings.runtime.patience import patient_for


async def with_key(services: ConsoleServices, secret: str, request_id: str) -> str | None:
    """Open a session with an API key's rights; None if the key is not valid or can't read.

    Raises:
        LedgerUnavailable: The keys are not known, or the session can't be stored.
    """
    key = services.keyring.find(secret)
    if key is None or Scope.READ not in key.scopes:
        return None
    name = f"{key.name} {key.prefix}".strip()
    request = OpenSessionRequest(name, key.tenant, key.scopes, key.test, key.prefix)
    return await _open(services.backend, _actor(name, request_id), request)


async def with_identity(services: ConsoleServices, identity: Identity, request_id: str) -> str:
    """Open a session with the rights of a role.

    Raises:
        LedgerUnavailable: The session can't be stored.
    """
    scopes = SCOPES[identity.role]
    name = identity.in_history
    request = OpenSessionRequest(name, identity.tenant, scopes, subject=identity.subject)
    return await _open(services.backend, _actor(name, request_id), request)


async def _open(backend: Backend, actor: Actor, request: OpenSessionRequest) -> str:
    with patient_for(PATIENCE):
        return await sessions.open_(backend, actor, request)


def _actor(name: str, request_id: str) -> Actor:
    return Actor("console", name, request_id)


def safe_next(wanted: str) -> str:
    """The page to go to after signing in: one of ours, whatever the address said."""
    return wanted if wanted.startswith("/") and not wanted.startswith(("//", "/\\")) else "/"


async def end(backend: Backend, request: Request, actor: Actor | None = None) -> None:
    """End the session of a request, if it has one; with an entry in the audit trail if somebody signed out."""
    if token := Cookies(backend.settings.console.url).read(request, SESSION):
        with patient_for(PATIENCE):
            await sessions.end(backend, token, actor)
