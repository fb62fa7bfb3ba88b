"""The API in this process, served on loopback, and a client with keys of any kind."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from multidict import CIMultiDictProxy
from tests.support.api_document import check_answer
from tests.support.worker_rig import eventually

from tidings.api import Api
from tidings.api.route import Route
from tidings.api.routes import routes
from tidings.api.server import MakeConsole
from tidings.delivery.inbox import InboxHints
from tidings.ledger import PostgresLedger
from tidings.operations import keys
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.scopes import Scope
from tidings.settings import Settings
from tidings.telemetry.metrics import Metrics

TESTER = Actor("cli", "tester@desk")


@dataclass
class Answer:
    """What the API answered."""

    status: int
    headers: "CIMultiDictProxy[str]"
    body: bytes

    @property
    def data(self) -> Any:
        """Its JSON."""
        return json.loads(self.body)


class ApiRig:
    """Everything a test of the API needs."""

    def __init__(self, settings: Settings, backend: Backend, api: Api, metrics: Metrics) -> None:
        self.settings = settings
        self.backend = backend
        self.api = api
        self.metrics = metrics
        self.session = aiohttp.ClientSession(f"http://127.0.0.1:{api.port}")

    async def key(self, *scopes: str, tenant: str = "*", **fields: Any) -> str:
        """A new key that the API knows already; with every scope if none is given."""
        request = keys.CreateKeyRequest(tenant, scopes or tuple(Scope), **fields)
        made = await keys.create(self.backend, TESTER, request)

        async def known() -> bool:
            answer = await self.ask("GET", "/v1/nothing", made.secret)
            return answer.status == 404

        await eventually(known)
        return made.secret

    async def revoke(self, key: str) -> None:
        """Revoke a key."""
        await keys.revoke(self.backend, TESTER, keys.RevokeKeyRequest(key))

    async def ask(
        self,
        method: str,
        path: str,
        key: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        **how: Any,
    ) -> Answer:
        """Send a request. What it is answered must be what the document says."""
        sent = dict(headers or {})
        if key is not None:
            sent["Authorization"] = f"Bearer {key}"
        async with self.session.request(method, path, headers=sent, **how) as reply:
            answer = Answer(reply.status, reply.headers, await reply.read())
        check_answer(method, path, answer.status, reply.content_type, answer.body)
        return answer

    async def execute(self, statement: str, *arguments: object) -> None:
        """Change something in the database."""
        async with self.backend.ledger.database.connection() as connection:
            await connection.execute(statement, *arguments)

    async def fetch(self, query: str, *arguments: object) -> list[dict[str, Any]]:
        """Ask the database."""
        async with self.backend.ledger.database.connection() as connection:
            return [dict(row) for row in await connection.fetch(query, *arguments)]


@asynccontextmanager
async def serving(
    settings: Settings,
    *more: Route,
    inbox_hints: InboxHints | None = None,
    console: MakeConsole | None = None,
) -> AsyncIterator[ApiRig]:
    """A running API, stopped gracefully at the end.

    Args:
        more: Routes beside its own.
        inbox_hints: Announces what it changes in inboxes.
        console: Makes the pages of operators; None: they are not served.
    """
    metrics, stop = Metrics(), asyncio.Event()
    api = Api(settings, "api test", metrics.api, (*routes(), *more), inbox_hints, console)
    task = asyncio.create_task(api.run(stop))
    await eventually(lambda: api.ready or task.done())
    if task.done():
        task.result()
    try:
        async with PostgresLedger(settings.ledger, actor="cli test") as ledger:
            rig = ApiRig(settings, Backend(settings, ledger), api, metrics)
            async with rig.session:
                yield rig
    finally:
        stop.set()
        await task
