"""The ASGI application of the console: admits the visitor, finds the page, and shows errors as pages."""

import json
from collections.abc import Awaitable, Callable, Iterable
from contextlib import nullcontext, suppress
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route, Router
from starlette.types import Message, Receive, Scope, Send

from tidings.console import signing_in
from tidings.console.cookies import Cookies
from tidings.console.entrance import Entrance
from tidings.console.forms import Form, read_form
from tidings.console.guards import GUARDS
from tidings.console.kept_forms import KeptForm, KeptForms, address_of
from tidings.console.page import (
    ROOT,
    Answer,
    ConsolePage,
    ConsoleServices,
    Download,
    Html,
    JsonAnswer,
    SeeOther,
    Visit,
)
from tidings.console.pages import pages
from tidings.console.problems import Forbidden, described
from tidings.console.recollection import Recollection
from tidings.console.rendering import environment
from tidings.console.replies import asset_reply, compressed
from tidings.console.sessions import (
    NOTICE,
    SESSION,
    ForeignForm,
    check_form,
    check_origin,
    form_token,
    is_ours,
    visitor_of,
)
from tidings.console.visitors import Visitor
from tidings.delivery.errors import LedgerUnavailable
from tidings.operations.backend import Backend
from tidings.operations.keyring import Keyring
from tidings.operations.scopes import Scope as Permission
from tidings.runtime.patience import patient_for

THEME: Final = "tidings_theme"
THEMES: Final = {"dark", "light"}
THEME_LASTS: Final = 365 * 86_400
"""Seconds."""
IN_OUTAGES: Final = 1.0
"""Seconds for each use of PostgreSQL, where it has just not answered: what else there is to say is not held up."""


class _Measured(NamedTuple):
    """What metrics call a page."""

    path: str


class Console:
    """The console.

    Args:
        backend: For the operations.
        keyring: The API keys, with which people may sign in.
        served: Its pages, if not all.
    """

    def __init__(
        self, backend: Backend, keyring: Keyring, served: Iterable[ConsolePage] | None = None
    ) -> None:
        self._services = ConsoleServices(backend, keyring)
        self._recollection = Recollection()
        self._templates = environment()
        self._url = backend.settings.console.url
        self._cookies = Cookies(self._url)
        self._kept_forms = KeptForms(self._url, self._response)
        listed = tuple(pages()) if served is None else tuple(served)
        self._templates.globals["served"] = {
            page.path: page for page in listed if page.method == "GET"
        }
        self._router = Router(
            [
                Route(f"{ROOT}/assets/{{name}}", asset_reply),
                *Entrance(self._services, self._html, self._form).routes(),
                Route(f"{ROOT}/theme", self._theme, methods=["POST"]),
                *(
                    Route(ROOT + page.path, self._endpoint(page), methods=[page.method])
                    for page in listed
                ),
            ],
            redirect_slashes=False,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; it raises nothing that a page can say."""
        if (place := _other_spelling(scope)) is not None:
            await RedirectResponse(place, 307, GUARDS)(scope, receive, send)
            return
        request, started = Request(scope, receive), False
        scope.setdefault("app", self)  # so that the router raises what it does not find

        async def answer(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._router(scope, receive, answer)
        except Exception as error:
            if (
                started
            ):  # half a download: the connection is cut, so that nobody takes it for the whole
                raise
            visitor = scope.get("tidings.visitor") or await self._known(request, error)
            await self._error(request, error, visitor)(scope, receive, send)

    def _endpoint(self, page: ConsolePage) -> Callable[[Request], Awaitable[Response]]:
        measured = _Measured(ROOT + page.path)

        async def endpoint(request: Request) -> Response:
            request.scope["route"] = measured
            try:
                visitor, remembered = await self._visitor(page, request)
            except LedgerUnavailable:
                given_back = await self._kept_forms.given_back(request, "unavailable", 503)
                if given_back is None:
                    raise
                return given_back
            if visitor is None:
                given_back = await self._kept_forms.given_back(request, "ended", 401)
                return given_back or self._to_sign_in(request)
            request.scope["tidings.visitor"] = visitor
            reason = visitor.why_not(
                page.scope, live_only=page.live_only, all_tenants=page.all_tenants
            )
            if reason:
                raise Forbidden(f"This {reason}.")
            form, ours = await self._sent(page, request, visitor)
            again = page.shown_again
            request_id: str = request.scope["tidings.request_id"]
            visit = Visit(self._services, request, request_id, visitor, form)
            if not ours and again is None:
                kept = KeptForm(address_of(request), form)
                return self._response(request, visitor, kept.page("renewed", 409))
            handler = page.handler if ours or again is None else again
            with patient_for(IN_OUTAGES) if remembered else nullcontext():
                answer = await handler(visit)
            if page.method == "POST":
                self._services.backend.overviews.forget()  # they look for what they have done
            return self._response(request, visitor, answer)

        return endpoint

    async def _visitor(self, page: ConsolePage, request: Request) -> tuple[Visitor | None, bool]:
        """Who is signed in; and whether they are only remembered, where the page has something to say without PostgreSQL."""
        token = self._cookies.read(request, SESSION)
        try:
            visitor = await visitor_of(self._services.backend, request)
        except LedgerUnavailable:
            remembered = self._recollection.of(token) if page.in_outages else None
            if remembered is None:
                raise
            self._services.backend.overviews.forget()  # of before the outage
            return remembered, True
        self._recollection.note(token, visitor)
        return visitor, False

    async def _known(self, request: Request, error: Exception) -> Visitor | None:
        """Who asked for a page that there is not, so that they keep the navigation."""
        if not isinstance(error, HTTPException):
            return None
        with suppress(LedgerUnavailable):
            return await visitor_of(self._services.backend, request)
        return None

    async def _sent(
        self, page: ConsolePage, request: Request, visitor: Visitor
    ) -> tuple[Form, bool]:
        """The form of a request, and whether it is of this session: one of an earlier session is shown again.

        Raises:
            ForeignForm: It may be of another site.
        """
        if page.method == "GET":
            return Form(), True
        check_origin(request, self._url)
        form = await read_form(request)
        try:
            check_form(visitor, form)
        except ForeignForm:
            if not is_ours(request, self._url):
                raise
            return form, False
        return form, True

    async def _form(self, request: Request, visitor: Visitor) -> Form:
        check_origin(request, self._url)
        form = await read_form(request)
        check_form(visitor, form)
        return form

    def _response(self, request: Request, visitor: Visitor | None, answer: Answer) -> Response:
        match answer:
            case Html(template, values, status):
                return self._html(request, template, values, status, visitor)
            case SeeOther(to, notice):
                response: Response = RedirectResponse(ROOT + to, 303, GUARDS)
                if notice:
                    self._cookies.keep(response, NOTICE, quote(notice))
                return response
            case Download(name, parts, media_type):
                named = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
                headers = {**GUARDS, "Content-Disposition": named}
                return StreamingResponse(parts, headers=headers, media_type=media_type)
            case JsonAnswer(data):
                return Response(json.dumps(data), headers=GUARDS, media_type="application/json")

    def _html(
        self,
        request: Request,
        template: str,
        values: Any,
        status: int,
        visitor: Visitor | None,
    ) -> Response:
        notice = unquote(self._cookies.read(request, NOTICE)) if _is_looked_at(request) else ""
        theme = self._cookies.read(request, THEME)
        body = self._templates.get_template(template).render(
            {
                "visitor": visitor,
                "form_token": "" if visitor is None else form_token(visitor),
                "notice": notice,
                "theme": theme if theme in THEMES else "",
                "here": request.url.path.removeprefix(ROOT) or "/",
                "back": _back(request),
                "request": request,
                "refreshes": request.method == "GET" and status == 200,
                "Scope": Permission,
                **values,
            }
        )
        html = body.encode(errors="replace")  # JSON may have half a character, UTF-8 may not
        response = compressed(request, html, "text/html; charset=utf-8", status, GUARDS)
        if notice:
            self._cookies.drop(response, NOTICE)
        return response

    def _error(self, request: Request, error: Exception, visitor: Visitor | None) -> Response:
        problem = described(error, form=request.method == "POST")
        request_id = request.scope["tidings.request_id"]
        values = {"problem": problem, "request_id": request_id}
        return self._html(request, "error.html", values, problem.status, visitor)

    def _to_sign_in(self, request: Request) -> Response:
        """A person who signs in gets what they wanted to look at."""
        wanted = request.url.path.removeprefix(ROOT)
        if request.url.query:
            wanted += f"?{request.url.query}"
        after = (
            f"?next={quote(wanted)}" if request.method == "GET" and wanted not in {"", "/"} else ""
        )
        return RedirectResponse(f"{ROOT}/sign-in{after}", 303, GUARDS)

    async def _theme(self, request: Request) -> Response:
        """Light or dark, whatever the system has; kept in a cookie."""
        visitor = await visitor_of(self._services.backend, request)
        if visitor is None:
            return self._to_sign_in(request)
        form = await self._form(request, visitor)
        response = RedirectResponse(ROOT + signing_in.safe_next(form.text("back")), 303, GUARDS)
        theme = form.text("theme")
        kept = theme if theme in THEMES else ""
        self._cookies.keep(response, THEME, kept, lasts=THEME_LASTS)
        return response


def _back(request: Request) -> str:
    """Where the page can be looked at again; for the answer to a form, the section that it belongs to."""
    path = request.url.path.removeprefix(ROOT)
    if request.method == "POST":
        return f"/{path.split('/')[1]}" if path else "/"
    return path + (f"?{request.url.query}" if request.url.query else "")


def _is_looked_at(request: Request) -> bool:
    """Whether a person opens a page, and not the script of one: another tab's would take the notice away unseen."""
    return request.headers.get("sec-fetch-dest") != "empty"


def _other_spelling(scope: Scope) -> str | None:
    """Where a page is that was asked for with a slash too many or too few; None if it was not.

    Without scheme and host: behind a proxy that ends TLS this process knows neither.
    """
    path: str = scope["path"]
    if path == ROOT:
        tidied = f"{ROOT}/"
    elif path.endswith("/") and path != f"{ROOT}/":
        tidied = path.rstrip("/")
    else:
        return None
    query = scope["query_string"].decode("latin-1")
    return quote(tidied) + (f"?{query}" if query else "")
