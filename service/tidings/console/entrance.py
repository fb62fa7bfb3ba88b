"""The ways in and out: signing in with an API key or by OpenID Connect, and signing out."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from tidings.console import signing_in
from tidings.console.cookies import Cookies
from tidings.console.forms import Form, read_form
from tidings.console.guards import GUARDS
from tidings.console.openid.attempt import CALLBACK, LASTS, LoginAttempt, begin_path
from tidings.console.openid.errors import SignInFailed
from tidings.console.page import ROOT, ConsoleServices
from tidings.console.sessions import SESSION, check_origin, visitor_of
from tidings.console.visitors import Visitor
from tidings.console.wrong_keys import MOST, WrongKeys
from tidings.delivery.errors import LedgerUnavailable
from tidings.operations.times import span
from tidings.settings import ConsoleSettings

if TYPE_CHECKING:
    from tidings.console.openid.sign_on import SingleSignOn

log = structlog.get_logger(__name__)

LOGIN: Final = "tidings_login"
"""The cookie of a sign-in that is at the provider."""
LONGEST: Final = 8 * 1024
"""Bytes of the form: whoever sends it has proved nothing yet."""
PATIENCE: Final = 5.0
"""Seconds within which it must have arrived: requests that are slow keep others out, those of the API too."""
MOST_REMEMBERED: Final = 1_024
"""Characters of the address that was asked for: a browser drops longer cookies, and the sign-in with it."""
SIGNED_OUT: Final = "signed-out"


class ShowPage(Protocol):
    """Renders a page."""

    def __call__(
        self,
        request: Request,
        template: str,
        values: Mapping[str, Any],
        status: int,
        visitor: Visitor | None,
    ) -> Response:
        """The page."""
        ...


class Entrance:
    """Signs people in and out.

    Args:
        services: Backend and keys.
        show: Renders a page.
        form: Reads a form of a visitor and checks where it comes from.
    """

    def __init__(
        self,
        services: ConsoleServices,
        show: ShowPage,
        form: Callable[[Request, Visitor], Any],
    ) -> None:
        self._services = services
        self._settings = services.backend.settings.console
        self._cookies = Cookies(self._settings.url)
        self._show = show
        self._form = form
        self._wrong_keys = WrongKeys()
        self._single_sign_on = _single_sign_on(self._settings)

    def routes(self) -> list[Route]:
        """Those that nobody needs to be signed in for."""
        return [
            Route(f"{ROOT}/sign-in", self._page, methods=["GET"]),
            Route(f"{ROOT}/sign-in", self._with_key, methods=["POST"]),
            Route(f"{ROOT}/sign-in/openid", self._begin, methods=["GET"]),
            Route(ROOT + CALLBACK, self._finish, methods=["GET"]),
            Route(f"{ROOT}/sign-out", self._sign_out, methods=["POST"]),
        ]

    async def _page(self, request: Request) -> Response:
        next_ = request.query_params.get("next", "")
        problem = "Your session has ended: sign in again." if await self._ended(request) else ""
        signed_out = SIGNED_OUT in request.query_params
        return self._sign_in(request, next_, problem, signed_out=signed_out)

    async def _ended(self, request: Request) -> bool:
        """Whether the browser has a session that is over."""
        if not self._cookies.read(request, SESSION):
            return False
        with suppress(LedgerUnavailable):
            return await visitor_of(self._services.backend, request) is None
        return False

    def _sign_in(
        self,
        request: Request,
        next_: str,
        problem: str = "",
        status: int = 200,
        *,
        signed_out: bool = False,
    ) -> Response:
        single = self._single_sign_on
        values = {
            "next": next_,
            "problem": problem,
            "api_keys": self._settings.api_keys,
            "provider": single.name if single else "",
            "begin": begin_path(next_) if single else "",
            "signed_out": signed_out,
            "sign_out_url": single.sign_out_url if single and signed_out else "",
        }
        return self._show(request, "sign_in.html", values, status, None)

    async def _with_key(self, request: Request) -> Response:
        if not self._settings.api_keys:
            raise HTTPException(404)
        check_origin(request, self._settings.url)
        form = await read_form(request, LONGEST, PATIENCE)
        token = await signing_in.with_key(self._services, form.text("key"), _id_of(request))
        if token is None:
            return self._wrong_key(request, form)
        return await self._enter(request, token, form.text("next"))

    def _wrong_key(self, request: Request, form: Form) -> Response:
        address = request.client.host if request.client else ""
        count = self._wrong_keys.count(address)
        if count <= MOST:
            log.warning("console: wrong key", address=address, count=count)
            problem = "This key is unknown, revoked or expired, or has not the scope `read`."
            return self._sign_in(request, form.text("next"), problem, 403)
        problem = (
            "Too many wrong keys came from your address. Wait a minute; a right key still works."
        )
        response = self._sign_in(request, form.text("next"), problem, 429)
        response.headers["Retry-After"] = "60"
        return response

    async def _begin(self, request: Request) -> Response:
        single, next_ = self._single(), request.query_params.get("next", "")
        try:
            url, attempt = await single.begin(next_ if len(next_) <= MOST_REMEMBERED else "")
        except SignInFailed as failure:
            return self._sign_in(request, next_, failure.detail, failure.status)
        response = RedirectResponse(url, 303, GUARDS)
        self._cookies.keep(response, LOGIN, attempt.cookie(), lasts=LASTS)
        return response

    async def _finish(self, request: Request) -> Response:
        single = self._single()
        attempt = LoginAttempt.of(self._cookies.read(request, LOGIN))
        next_ = attempt.next if attempt else ""
        try:
            identity = await single.finish(attempt, request.query_params)
        except SignInFailed as failure:
            response = self._sign_in(request, next_, failure.detail, failure.status)
        else:
            token = await signing_in.with_identity(self._services, identity, _id_of(request))
            response = await self._enter(request, token, next_)
        self._cookies.drop(response, LOGIN)
        return response

    async def _enter(self, request: Request, token: str, next_: str) -> Response:
        """A new session with a new token; whatever session the browser had before is over."""
        await signing_in.end(self._services.backend, request)
        response = RedirectResponse(ROOT + signing_in.safe_next(next_), 303, GUARDS)
        self._cookies.keep(response, SESSION, token)
        return response

    async def _sign_out(self, request: Request) -> Response:
        try:
            visitor = await visitor_of(self._services.backend, request)
        except LedgerUnavailable:
            return self._forgotten(request)
        if visitor is not None:
            await self._form(request, visitor)
            await signing_in.end(self._services.backend, request, visitor.actor(_id_of(request)))
        response = RedirectResponse(f"{ROOT}/sign-in?{SIGNED_OUT}", 303, GUARDS)
        self._cookies.drop(response, SESSION)
        return response

    def _forgotten(self, request: Request) -> Response:
        """Nobody can end a session without PostgreSQL; the browser forgets it all the same."""
        check_origin(request, self._settings.url)
        log.warning("console: a session could not be ended: PostgreSQL is unavailable")
        problem = (
            "PostgreSQL is unavailable. This browser has forgotten your session; the session itself ends when it is not "
            f"used for {span(self._settings.idle)}."
        )
        response = self._sign_in(request, "", problem, 503)
        self._cookies.drop(response, SESSION)
        return response

    def _single(self) -> "SingleSignOn":
        if self._single_sign_on is None:
            raise HTTPException(404)
        return self._single_sign_on


def _single_sign_on(settings: ConsoleSettings) -> "SingleSignOn | None":
    if not settings.oidc_issuer:
        return None
    from tidings.console.openid.sign_on import SingleSignOn  # most do without its libraries

    return SingleSignOn(settings)


def _id_of(request: Request) -> str:
    return str(request.scope["tidings.request_id"])
