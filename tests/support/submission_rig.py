"""An intake on a real broker and database, reached by lines that a test cuts."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import aio_pika
import pytest
from tests.support.broker_rig import ONE_TIER
from tests.support.wire import Wire
from tests.support.worker_rig import Rig
from yarl import URL

from tidings.ledger import PostgresLedger
from tidings.operations.actor import Actor
from tidings.operations.api_key_format import digest
from tidings.operations.backend import Backend
from tidings.operations.submissions.callers import Caller
from tidings.operations.submissions.intake import Intake
from tidings.operations.submissions.single import SubmitRequest, SubmittedView, submit
from tidings.settings import Settings

ACTOR = Actor("api-key", "shop tk_live_shop")
KEY_HASH = digest("tk_live_shop and its secret")
Environment = Callable[[str, str], None]


def mail(**fields: object) -> bytes:
    """An email without an id; a field that is None is left out."""
    written = {
        "channel": "email",
        "recipient": "ada@example.com",
        "subject": "Hello",
        "body": "How are you?",
        **fields,
    }
    return json.dumps({name: it for name, it in written.items() if it is not None}).encode()


class SubmissionRig:
    """Everything a test of accepting needs.

    Args:
        around: A rig that reaches both servers by lines of its own.
        settings: Of the process that accepts.
    """

    def __init__(self, around: Rig, settings: Settings, broker: Wire, database: Wire) -> None:
        self.around = around
        self.settings = settings
        self.broker = broker
        self.database = database

    @asynccontextmanager
    async def accepting(self) -> AsyncIterator[Backend]:
        """A process that accepts."""
        actor = f"api {uuid4().hex[:6]}"
        async with (
            PostgresLedger(self.settings.ledger, actor=actor) as ledger,
            Intake(self.settings, ledger) as intake,
        ):
            yield Backend(self.settings, ledger, intake)

    async def bodies(self, queue: str = "tidings.email.normal") -> list[dict[str, Any]]:
        """What waits in a lane, in its order; taken off it."""
        bodies: list[dict[str, Any]] = []
        connection = await aio_pika.connect(self.around.settings.broker.urls[0])
        async with connection, connection.channel() as channel:
            source = await channel.get_queue(queue, ensure=False)
            while (message := await source.get(no_ack=True, fail=False)) is not None:
                bodies.append(json.loads(message.body))
        return bodies

    async def delete(self, queue: str) -> None:
        """Delete a queue behind everybody's back."""
        connection = await aio_pika.connect(self.around.settings.broker.urls[0])
        async with connection, connection.channel() as channel:
            await channel.queue_delete(queue)


async def send(
    backend: Backend,
    body: bytes | None = None,
    /,
    *,
    key: str | None = None,
    tenant: str | None = None,
    **fields: object,
) -> SubmittedView:
    """Submit one, with this Idempotency-Key if one is given."""
    caller = Caller("tk_live_shop", KEY_HASH, tenant, key)
    return await submit(backend, ACTOR, SubmitRequest(caller, body or mail(**fields)))


@asynccontextmanager
async def submission_rig(
    broker_url: str, database_url: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SubmissionRig]:
    """A rig whose process reaches both servers by lines that can be cut."""
    variables: Mapping[str, str] = {**ONE_TIER, "TIDINGS_CATEGORIES": "{}"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    async with AsyncExitStack() as stack:
        broker, database = Wire(URL(broker_url)), Wire(URL(database_url))
        for wire in (broker, database):
            await wire.open()
            stack.push_async_callback(wire.close)
        settings = []
        for amqp, dsn in ((broker_url, database_url), (broker.url, database.url)):
            monkeypatch.setenv("TIDINGS_AMQP_URL", amqp)
            monkeypatch.setenv("TIDINGS_DATABASE_URL", dsn)
            monkeypatch.setenv("TIDINGS_AMQP_BACKOFF_MAX", "500ms")
            settings.append(Settings().check())
        connection = await stack.enter_async_context(await aio_pika.connect(broker_url))
        rig = Rig(settings[0], directory, await connection.channel())
        around = await stack.enter_async_context(rig)
        yield SubmissionRig(around, settings[1], broker, database)
