"""A service that operators are alerted through: takes what is posted, answers as it is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web


@dataclass
class Pager:
    """A service that operators are told through."""

    url: str = ""
    alerts: list[dict[str, str]] = field(default_factory=list)
    status: int = 200
    patience: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.Response:
        """Keep an alert."""
        await self.patience.wait()
        self.alerts.append(await request.json())
        return web.Response(status=self.status, text="no such channel" if self.status > 299 else "")


@asynccontextmanager
async def paging() -> AsyncIterator[Pager]:
    """Such a service on loopback, and its URL."""
    pager = Pager()
    pager.patience.set()
    app = web.Application()
    app.router.add_post("/page", pager.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    pager.url = f"json://127.0.0.1:{runner.addresses[0][1]}/page"
    try:
        yield pager
    finally:
        pager.patience.set()
        await runner.cleanup()
