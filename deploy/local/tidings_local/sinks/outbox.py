"""Shows what the sinks have received, as pages for people and as JSON for scripts."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import jinja2
from aiohttp import web

from tidings_local.sinks.box import Box
from tidings_local.sinks.mail import MailSink
from tidings_local.sinks.outbox_json import mail_json, request_json, text_json
from tidings_local.sinks.sms import SmsSink
from tidings_local.sinks.web import Handler, LoopbackSite, only_this_machine
from tidings_local.sinks.webhook import WebhookSink

_PAGES: Final = Path(__file__).parent / "pages"
_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "frame-src 'self'; img-src data:"
)
_MAIL_POLICY: Final = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the list."""

    kind: str
    path: str
    at: datetime
    to: str
    summary: str


class Outbox:
    """The pages of a laptop's sinks, on loopback. Use it with `async with`."""

    def __init__(self, mail: MailSink, sms: SmsSink, webhooks: WebhookSink, port: int = 0) -> None:
        """Listens to nothing yet.

        Args:
            mail: Whose mails to show.
            sms: Whose texts to show.
            webhooks: Whose requests to show.
            port: Where to listen; 0 for any.
        """
        self._mails, self._texts, self._requests = mail.mails, sms.texts, webhooks.requests
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_PAGES),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
        )
        app = web.Application(middlewares=[only_this_machine])
        for path, handler in self._routes().items():
            app.router.add_get(path, handler)
        self._site = LoopbackSite(app, port)

    @property
    def url(self) -> str:
        """Where to look."""
        return f"{self._site.url}/"

    async def __aenter__(self) -> Self:
        await self._site.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._site.__aexit__()

    def _routes(self) -> dict[str, Handler]:
        return {
            "/": self._list,
            "/mails/{number:\\d+}": self._mail,
            "/mails/{number:\\d+}/html": self._mail_html,
            "/mails/{number:\\d+}/source": self._mail_source,
            "/texts/{number:\\d+}": self._text,
            "/webhooks/{number:\\d+}": self._request,
            "/api/received": self._received,
            "/api/mails": _api_list(self._mails, mail_json),
            "/api/mails/{number:\\d+}": _api_item(self._mails, mail_json),
            "/api/texts": _api_list(self._texts, text_json),
            "/api/texts/{number:\\d+}": _api_item(self._texts, text_json),
            "/api/webhooks": _api_list(self._requests, request_json),
            "/api/webhooks/{number:\\d+}": _api_item(self._requests, request_json),
            "/style.css": _file("style.css"),
            "/live.js": _file("live.js"),
        }

    def _page(self, template: str, **values: object) -> web.Response:
        html = self._templates.get_template(template).render(received=self._count(), **values)
        headers = {"Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer"}
        return web.Response(text=html, content_type="text/html", headers=headers)

    def _count(self) -> int:
        return self._mails.received + self._texts.received + self._requests.received

    def _entries(self) -> list[Entry]:
        mails = (
            Entry("mail", f"/mails/{number}", it.at, ", ".join(it.recipients), it.subject)
            for number, it in self._mails.numbered()
        )
        texts = (
            Entry("text", f"/texts/{number}", it.at, it.to, it.body or f"content {it.content_sid}")
            for number, it in self._texts.numbered()
        )
        requests = (
            Entry(
                "webhook",
                f"/webhooks/{number}",
                it.at,
                it.path,
                it.body[:200].decode("utf-8", "replace"),
            )
            for number, it in self._requests.numbered()
        )
        return sorted([*mails, *texts, *requests], key=lambda entry: entry.at, reverse=True)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        kind = request.query.get("kind")
        entries = [entry for entry in self._entries() if kind in {None, entry.kind}]
        today = datetime.now().astimezone().date()
        return self._page("list.html", entries=entries, here=request.path_qs, today=today)

    async def _mail(self, request: web.Request) -> web.StreamResponse:
        number, mail = _found(self._mails, request)
        return self._page("mail.html", number=number, mail=mail)

    async def _mail_html(self, request: web.Request) -> web.StreamResponse:
        _, mail = _found(self._mails, request)
        headers = {"Content-Security-Policy": _MAIL_POLICY, "Referrer-Policy": "no-referrer"}
        return web.Response(text=mail.html or "", content_type="text/html", headers=headers)

    async def _mail_source(self, request: web.Request) -> web.StreamResponse:
        _, mail = _found(self._mails, request)
        headers = {"X-Content-Type-Options": "nosniff"}
        return web.Response(
            body=mail.raw, content_type="text/plain", charset="utf-8", headers=headers
        )

    async def _text(self, request: web.Request) -> web.StreamResponse:
        number, text = _found(self._texts, request)
        facts = [
            ("To", text.to),
            ("From", text.sender),
            ("Service", text.service),
            ("Came", text.at.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")),
            ("Segments", str(text.segments)),
            ("Content", text.content_sid),
            ("Variables", text.content_variables),
            ("SID", text.sid),
        ]
        return self._page(
            "facts.html",
            heading=f"Text to {text.to}",
            facts=facts,
            body=text.body,
            headers=[],
            json=f"/api/texts/{number}",
        )

    async def _request(self, request: web.Request) -> web.StreamResponse:
        number, kept = _found(self._requests, request)
        return self._page(
            "facts.html",
            heading=f"{kept.method} {kept.path}",
            facts=[("Came", kept.at.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z"))],
            body=kept.body.decode("utf-8", "replace"),
            headers=sorted(kept.headers.items()),
            json=f"/api/webhooks/{number}",
        )

    async def _received(self, _: web.Request) -> web.StreamResponse:
        return web.json_response({"received": self._count()})


def _found(box: Box[T], request: web.Request) -> tuple[int, T]:
    number = int(request.match_info["number"])
    item = box.find(number)
    if item is None:
        raise web.HTTPNotFound(text=f"number {number} is not kept (any more)")
    return number, item


def _api_list(box: Box[T], shown: Callable[[int, T], dict[str, Any]]) -> Handler:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.json_response([shown(number, item) for number, item in box.numbered()])

    return handler


def _api_item(box: Box[T], shown: Callable[[int, T], dict[str, Any]]) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.json_response(shown(*_found(box, request)))

    return handler


def _file(name: str) -> Handler:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.FileResponse(_PAGES / name)

    return handler
