"""Stands in for a customer's endpoint: keeps every request, and misbehaves on demand.

The first part of the path may say what to do: `/fail-once/orders`, `/reject/…` (410), `/throttle/…`
(429), `/hang/…`, `/drop/…`, or `/status/503`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self

from aiohttp import web

from tidings_local.sinks.box import Box
from tidings_local.sinks.script import Behaviour, Scripts
from tidings_local.sinks.web import LoopbackSite, misbehave

_STATUS: Final = {
    Behaviour.ACCEPT: 200,
    Behaviour.FAIL: 503,
    Behaviour.GREYLIST: 503,
    Behaviour.REJECT: 410,
    Behaviour.THROTTLE: 429,
}


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """One request as it came."""

    at: datetime
    method: str
    path: str
    headers: dict[str, str]
    """By lower-case name."""
    body: bytes


class WebhookSink:
    """An endpoint on loopback. Use it with `async with`."""

    def __init__(self, *, port: int = 0, retry_after: int = 1) -> None:
        """Listens to nothing yet.

        Args:
            port: Where to listen; 0 for any.
            retry_after: Seconds it asks for where it throttles.
        """
        self.requests: Box[ReceivedRequest] = Box()
        self.scripts = Scripts()
        self._retry_after = retry_after
        app = web.Application(client_max_size=50_000_000)
        app.router.add_route("*", "/{path:.*}", self._receive)
        self._site = LoopbackSite(app, port)

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end."""
        return self._site.url

    @property
    def port(self) -> int:
        return self._site.port

    async def __aenter__(self) -> Self:
        await self._site.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._site.__aexit__()

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        self.requests.add(await _received(request))
        first, _, rest = request.path.removeprefix("/").partition("/")
        if first == "status" and rest.isdecimal() and 200 <= int(rest) <= 599:
            return self._answer(int(rest))
        behaviour = self.scripts.next(request.path, first)
        if behaviour in {Behaviour.HANG, Behaviour.DROP}:
            return await misbehave(request, behaviour)
        return self._answer(_STATUS[behaviour])

    def _answer(self, status: int) -> web.Response:
        headers: dict[str, Any] = {"Retry-After": str(self._retry_after)} if status == 429 else {}
        return web.json_response({"kept": True}, status=status, headers=headers)


async def _received(request: web.Request) -> ReceivedRequest:
    return ReceivedRequest(
        at=datetime.now(UTC),
        method=request.method,
        path=request.path_qs,
        headers={name.lower(): value for name, value in request.headers.items()},
        body=await request.read(),
    )
