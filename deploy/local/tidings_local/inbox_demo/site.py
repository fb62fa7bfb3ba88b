"""Serves the demo of the in-app inbox on loopback, and signs its users' tokens."""

import html
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any, Final, Self
from uuid import UUID

from aiohttp import web

from tidings_local.errors import LocalStackError
from tidings_local.inbox_demo.sending import (
    MOST,
    USERS,
    NotSent,
    Running,
    over_amqp,
    over_http,
    snooze,
    token_of,
)
from tidings_local.sinks.web import LoopbackSite, only_this_machine

_PAGES: Final = Path(__file__).parent / "pages"
_FILES: Final = ("style.css", "demo.js", "user.js", "network.js")
_BASE: Final = (
    "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'"
)
POLICY: Final = (
    f"{_BASE}; script-src 'self'; connect-src 'self'; frame-src 'self'; frame-ancestors 'none'"
)
WIDTH: Final = 80
"""Columns of what a command prints."""


class InboxDemo:
    """The page, on loopback. Use it with `async with`; it can send once the stack runs."""

    def __init__(self, stack: Running, port: int = 0) -> None:
        """Listens to nothing yet.

        Args:
            stack: Where it sends to.
            port: Where to listen; 0 for any.
        """
        self._stack = stack
        app = web.Application(middlewares=[only_this_machine])
        app.router.add_get("/", self._page)
        app.router.add_get("/users/{user}", self._user)
        app.router.add_get("/users/{user}/token", self._token)
        app.router.add_post("/send", self._send)
        app.router.add_get("/notifications/{id}", self._notification)
        for name in _FILES:
            app.router.add_get(f"/{name}", _file(name))
        self._site = LoopbackSite(app, port)

    @property
    def url(self) -> str:
        """Where to look."""
        return f"{self._site.url}/"

    @property
    def port(self) -> int:
        return self._site.port

    @property
    def origins(self) -> tuple[str, str]:
        """Those that a browser may know the page by: the API has to let them in."""
        return self._site.url, f"http://localhost:{self.port}"

    async def __aenter__(self) -> Self:
        await self._site.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._site.__aexit__()

    async def _page(self, _: web.Request) -> web.StreamResponse:
        return _html("index.html", POLICY)

    async def _user(self, request: web.Request) -> web.StreamResponse:
        user = _user_of(request)
        address = self._stack.environment["TIDINGS_API_LISTEN"]
        policy = (
            f"{_BASE}; script-src 'self' http://{address}; "
            f"connect-src 'self' http://{address} ws://{address}; frame-ancestors 'self'"
        )
        name = USERS[user]
        return _html(
            "user.html", policy, user=user, name=name, letter=name[0], api=f"http://{address}"
        )

    async def _token(self, request: web.Request) -> web.StreamResponse:
        token = token_of(self._stack, _user_of(request))
        return web.Response(text=token, headers={"Cache-Control": "no-store"})

    async def _send(self, request: web.Request) -> web.StreamResponse:
        self._refuse_other_pages(request)
        try:
            form = await request.json()
            return web.json_response(await self._sent(form))
        except NotSent as error:
            return web.json_response({"error": str(error)}, status=422)
        except (ValueError, KeyError, TypeError, AttributeError):
            return web.json_response({"error": "that is not what the form sends"}, status=400)

    async def _sent(self, form: Mapping[str, Any]) -> Mapping[str, Any]:
        notification = {"channel": "in_app", **form["notification"]}
        user, count = notification["recipient"], int(form.get("count", 1))
        if notification["channel"] != "in_app" or user not in USERS or not 1 <= count <= MOST:
            raise NotSent(f"send 1 to {MOST} messages to {' or '.join(USERS)}")
        every = [notification]
        if count > 1:
            title = notification["title"]
            every = [{**notification, "title": f"{title} · {n}"} for n in range(1, count + 1)]
        publish = over_amqp if form.get("through") == "amqp" else over_http
        published = await publish(self._stack, every)
        if pause := form.get("snooze"):
            await snooze(self._stack, user, published.ids[0], float(pause))
        return {"where": published.where, "body": published.body, "ids": list(published.ids)}

    def _refuse_other_pages(self, request: web.Request) -> None:
        """A page on the web can send a form here, and must not be able to notify anybody."""
        origin = request.headers.get("Origin")
        if request.content_type != "application/json" or origin not in {None, *self.origins}:
            raise web.HTTPForbidden(text="only the page of the demo sends")

    async def _notification(self, request: web.Request) -> web.StreamResponse:
        try:
            id = UUID(request.match_info["id"])
        except ValueError:
            raise web.HTTPNotFound(text="that is no id") from None
        try:
            story = await self._stack.tidings("show", str(id), width=WIDTH)
        except LocalStackError as error:
            story = str(error)
        return _html("notification.html", POLICY, id=str(id), story=story)


def _user_of(request: web.Request) -> str:
    user = request.match_info["user"]
    if user not in USERS:
        raise web.HTTPNotFound(text=f"the users are {' and '.join(USERS)}")
    return user


def _html(page: str, policy: str, **values: str) -> web.Response:
    text = Template((_PAGES / page).read_text("utf-8"))
    safe = {key: html.escape(value) for key, value in values.items()}
    headers = {
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return web.Response(text=text.substitute(safe), content_type="text/html", headers=headers)


def _file(name: str) -> Any:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.FileResponse(_PAGES / name, headers={"Cache-Control": "no-cache"})

    return handler
