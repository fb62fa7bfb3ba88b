"""Serves a web application on loopback, for the sinks that are spoken to by HTTP."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Self, TypeAlias

from aiohttp import web

from tidings_local.errors import LocalStackError
from tidings_local.ports import LOOPBACK
from tidings_local.sinks.script import Behaviour

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


class LoopbackSite:
    """An HTTP server on loopback. Use it with `async with`."""

    def __init__(self, app: web.Application, port: int = 0) -> None:
        """Listens to nothing yet.

        Args:
            app: What it serves.
            port: Where to listen; 0 for any.
        """
        self.port = port
        # Silent requests are cut off at the end instead of waited for.
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end."""
        return f"http://{LOOPBACK}:{self.port}"

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, LOOPBACK, self.port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise LocalStackError(f"port {self.port} is taken: choose another ({error})") from error
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()


@web.middleware
async def only_this_machine(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuses other names for this address: a page on the web must not read what is here."""
    if request.url.host not in {LOOPBACK, "localhost"}:
        raise web.HTTPForbidden(text=f"open this as http://{LOOPBACK}")
    return await handler(request)


async def misbehave(request: web.Request, behaviour: Behaviour) -> web.StreamResponse:
    """Hangs or hangs up, instead of an answer."""
    if behaviour is Behaviour.DROP and request.transport:
        request.transport.abort()
    # The client gives up or is cut off, and aiohttp cancels this.
    await asyncio.Event().wait()
    return web.Response()
