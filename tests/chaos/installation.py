"""Sets an installation up for one scenario: its own virtual host, database, sink, relays and settings."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from tests.chaos.load import Load
from tests.chaos.servers import Servers
from tests.chaos.sink import Sink
from tests.chaos.world import Options, World
from tests.support.relay import Relay

from tidings_local.errors import LocalStackError

RELAYED: Final = {
    "amqp": "TIDINGS_AMQP_URL",
    "database": "TIDINGS_DATABASE_URL",
    "smtp": "TIDINGS_EMAIL_PORT",
    "twilio": "TIDINGS_TWILIO_BASE_URL",
}
"""What can be reached through a relay, and the variable that leads there."""
LOOK_EVERY: Final = 0.1
"""Seconds: who dies of itself was looked at a moment before."""
BACKLOG: Final = 20_000
"""Notifications that may be confirmed and not delivered: an endless backlog tests nothing more."""


def settings(
    world_urls: Sequence[str], database_url: str, sink: Sink, folder: Path, count: int
) -> dict[str, str]:
    """Settings with short waits: a lease lasts five seconds, a retry one or two."""
    return {
        "TIDINGS_AMQP_URL": ",".join(world_urls),
        "TIDINGS_AMQP_TIMEOUT": "5s",
        "TIDINGS_AMQP_BACKOFF_MAX": "1s",
        "TIDINGS_DATABASE_URL": database_url,
        "TIDINGS_DATABASE_TIMEOUT": "5s",
        "TIDINGS_EMAIL_HOST": "127.0.0.1",
        "TIDINGS_EMAIL_PORT": str(sink.smtp_port),
        "TIDINGS_EMAIL_TLS": "none",
        "TIDINGS_EMAIL_SENDER": "Tidings <no-reply@example.com>",
        "TIDINGS_EMAIL_RETRY": "1s 2s 2s 2s",
        "TIDINGS_EMAIL_CONCURRENCY": "50",
        "TIDINGS_EMAIL_CONNECTIONS": "50",
        "TIDINGS_EMAIL_PREFETCH": "100" if count <= BACKLOG else "400",
        "TIDINGS_EMAIL_SEND_TIMEOUT": "3s",
        "TIDINGS_SMS_RETRY": "1s 2s",
        "TIDINGS_SMS_SENDER": "+14155550100",
        "TIDINGS_SMS_SEND_TIMEOUT": "3s",
        "TIDINGS_TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
        "TIDINGS_TWILIO_AUTH_TOKEN": "chaos",
        "TIDINGS_TWILIO_BASE_URL": f"http://127.0.0.1:{sink.http_port}",
        "TIDINGS_LEASE_MARGIN": "2s",
        "TIDINGS_GRACE": "15s",
        "TIDINGS_CATEGORIES": "{}",
        "TIDINGS_TEMPLATES_ROOT": str(folder / "templates"),
        "TIDINGS_LOG_FORMAT": "json",
    }


@asynccontextmanager
async def world(
    servers: Servers, options: Options, *, cluster: bool = False, relayed: Sequence[str] = ()
) -> AsyncIterator[World]:
    """An installation of its own on these servers, with nothing running in it yet.

    Args:
        relayed: What the roles reach through a relay: `amqp`, `database`, `smtp`, `twilio`.
    """
    options.folder.mkdir(parents=True, exist_ok=True)
    broker = await servers.cluster() if cluster else servers.broker
    await broker.fresh_vhost()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(broker.drop_vhost)
        database_url = await stack.enter_async_context(servers.database())
        sink = await stack.enter_async_context(Sink(options.folder / "sink.log"))
        env = settings(broker.urls(), database_url, sink, options.folder, options.count)
        relays = await _relays(stack, relayed, env, sink)
        load = Load(lambda: random.choice(broker.urls()), options.folder / "journal.tsv")
        await stack.enter_async_context(load)
        if options.count > BACKLOG:
            env["TIDINGS_LOG_LEVEL"] = "warning"
        made = World(
            options,
            servers,
            broker,
            database_url,
            sink,
            relays,
            load,
            random.Random(options.seed),
            env,
        )
        stack.push_async_callback(_end, made)
        await stack.enter_async_context(_measured(made))
        if options.count > BACKLOG:
            await stack.enter_async_context(_held_back(made))
        applied = await made.tidings("topology", "apply")
        assert applied.code == 0, applied.err
        if cluster:  # its nodes are killed; whoever kills the single one has it settle before
            await broker.settle()
        yield made


@asynccontextmanager
async def _measured(made: World) -> AsyncIterator[None]:
    """Note what each process takes of memory, whoever ends it."""

    async def look() -> None:
        while True:
            for role in made.roles:
                role.look()
            await asyncio.sleep(LOOK_EVERY)

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()


@asynccontextmanager
async def _held_back(made: World) -> AsyncIterator[None]:
    """Keep the producers from running far ahead."""
    room = asyncio.Event()
    room.set()

    async def watch() -> None:
        while True:
            await asyncio.sleep(0.5)
            with suppress(LocalStackError, StopIteration):  # it is being killed
                if sum((await made.queues()).values()) < BACKLOG:
                    room.set()
                else:
                    room.clear()

    made.load.limit = room.is_set
    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()


async def _relays(
    stack: AsyncExitStack, wanted: Sequence[str], env: dict[str, str], sink: Sink
) -> dict[str, Relay]:
    found: dict[str, Relay] = {}
    for name in wanted:
        match name:
            case "smtp":
                url = f"smtp://127.0.0.1:{sink.smtp_port}"
            case _:
                url = env[RELAYED[name]]
        relay = found[name] = await stack.enter_async_context(Relay(url))
        env[RELAYED[name]] = str(relay.port) if name == "smtp" else relay.url
    return found


async def _end(made: World) -> None:
    for role in made.roles:
        if role.running:
            await role.kill()
