"""An application's own website: pages with the inbox component, and the tokens of its users."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

PAGE: Final = """<!doctype html>
<html lang="{lang}"{dir}><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Shop</title>
<link rel="stylesheet" href="/page.css"><script type="module" src="{api}/inbox/v1/tidings-inbox.js"></script>
<header><strong>Harbour</strong><tidings-inbox {attributes}></tidings-inbox></header>
<main><h1>Orders</h1><p><a href="/orders">All orders</a></p></main></html>
"""
STYLE: Final = """
:root { color-scheme: light dark; background: light-dark(#eef0f2, #0d0f12); color: light-dark(#111, #eee) }
body { margin: 0; font: 16px system-ui, sans-serif }
header { display: flex; justify-content: space-between; align-items: center; padding: 10px 20px;
  background: light-dark(#fff, #15181c); border-bottom: 1px solid light-dark(#ddd, #333) }
a { color: light-dark(#063, #6fc) }
main { padding: 20px }
"""
STRICT: Final = (
    "default-src 'none'; script-src {api}; style-src 'self'; connect-src 'self' {api} {ws}; base-uri 'none'; "
    "form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)


@dataclass
class Site:
    """The website, on an origin of its own."""

    api: str
    """The API's address."""
    token_of: Callable[[str], str]
    """A token of a user."""
    tokens_given: list[str] = field(default_factory=list)
    """Users to whom tokens were given, in order."""
    scripts: dict[str, str] = field(default_factory=dict)
    """Modules of its own, by name."""
    origin: str = ""

    async def __aenter__(self) -> "Site":
        app = web.Application()
        app.router.add_get("/page.css", self._style)
        app.router.add_get("/inbox-token", self._token)
        app.router.add_get("/scripts/{name}", self._script)
        app.router.add_get("/{page}", self._page)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        listener = web.TCPSite(self._runner, "127.0.0.1", 0)
        await listener.start()
        self.origin = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _style(self, _: web.Request) -> web.Response:
        return web.Response(text=STYLE, content_type="text/css")

    async def _script(self, request: web.Request) -> web.Response:
        text = self.scripts[request.match_info["name"]]
        return web.Response(text=text, content_type="text/javascript")

    async def _token(self, request: web.Request) -> web.Response:
        user = request.cookies.get("user")
        if user is None:
            return web.Response(status=401)
        self.tokens_given.append(user)
        token = self.token_of(user)
        return web.Response(text=json.dumps({"token": token}) if request.query else token)

    async def _page(self, request: web.Request) -> web.Response:
        query = request.query
        dir_ = f' dir="{query["dir"]}"' if "dir" in query else ""
        default = 'token-url="/inbox-token?as=json"'
        body = query.get("html") or PAGE.format(
            lang=query.get("lang", "en"),
            dir=dir_,
            api=self.api,
            attributes=query.get("attributes", default),
        )
        headers = {}
        if request.match_info["page"] == "strict":
            ws = self.api.replace("http", "ws", 1)
            headers["Content-Security-Policy"] = STRICT.format(api=self.api, ws=ws)
        return web.Response(text=body, content_type="text/html", headers=headers)
