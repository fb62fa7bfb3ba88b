"""Faults of the API: killed, stopped and cut off from its callers and servers while it accepts."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from time import time
from typing import Final

from tests.chaos.callers import PATIENT, Attempt, Callers, calling
from tests.chaos.evidence import looking
from tests.chaos.roles import Role
from tests.chaos.scenario import scenario
from tests.chaos.verdict import Expectations
from tests.chaos.world import World
from tests.support.relay import Relay

KILLS: Final = 6
STOPS: Final = 4
CUTS: Final = 9
MORE: Final = 0.3
"""Seconds for which a table stays locked once requests wait for it, and once more after SIGTERM: together shorter
than the API waits for PostgreSQL."""
UNDER_WAY: Final = 0.2
"""Seconds after which a request is with the API, and not on its way to it."""


@scenario(
    38,
    "api-killed",
    "two API processes are killed in turn while they accept, and callers hang up after the body",
    "C, F, D = 0, same ids",
    count=1000,
    mutant="answered-before-stored",
)
async def api_killed(made: World) -> Expectations | None:
    """Who was promised nothing repeats the request, mostly to the other one: it is sent once, under the same ids."""
    await made.start_roles(**PATIENT)
    async with calling(made) as callers:
        async with callers.submitting(seconds=40):
            for number in range(KILLS):
                await asyncio.sleep(made.random.uniform(0.1, 0.8))
                api = callers.apis[number % 2]
                async with callers.hurrying():
                    await asyncio.sleep(made.random.uniform(0.1, 0.6))
                    await api.kill()
                made.fault("API killed")
                await api.start()
                if number % 3:  # else neither is there for a moment
                    await api.ready()
        await made.recovers("the last kill")
        await callers.settled()
    assert callers.unanswered, "no request was under way at a kill: this run shows nothing"
    return Expectations(duplicates=0)


@scenario(
    39,
    "api-replies-lost",
    "replies to callers of the API, and those of its servers, are lost in the middle",
    "C, D = 0, same ids",
    count=1000,
    relayed=["amqp", "database"],
    mutant="new-ids",
)
async def api_replies_lost(made: World) -> Expectations | None:
    """Stored unheard, published unheard, accepted unheard: whatever is repeated is recognised."""
    direct = {
        "TIDINGS_AMQP_URL": ",".join(made.broker.urls()),
        "TIDINGS_DATABASE_URL": made.database_url,
    }
    await made.start_roles(**direct, **PATIENT)
    async with calling(made) as callers, AsyncExitStack() as stack:
        urls = callers.addresses()
        wires = [await stack.enter_async_context(Relay(url)) for url in urls]
        callers.addresses = lambda: [wire.url for wire in wires]
        targets = {
            "callers": wires,
            "RabbitMQ": [made.relays["amqp"]],
            "PostgreSQL": [made.relays["database"]],
        }
        async with callers.submitting(seconds=40):
            for number in range(CUTS):
                name = list(targets)[number % len(targets)]
                await asyncio.sleep(made.random.uniform(0.8, 1.6))
                async with callers.hurrying():
                    await _replies_lost(targets[name], held=number % 2 == 0)
                made.fault(
                    f"replies to {name} lost" if name == "callers" else f"replies of {name} lost"
                )
        await made.recovers("the last cut")
        await callers.settled()
    assert callers.unanswered, "no reply to a caller was lost: this run shows nothing"
    return Expectations(duplicates=0)


async def _replies_lost(wires: list[Relay], *, held: bool) -> None:
    """Requests arrive and replies don't, or neither; then the connections are cut."""
    for wire in wires:
        wire.hold_replies() if held else wire.lose()
    await asyncio.sleep(0.5)
    for wire in wires:
        wire.cut()
        wire.let_go()


@scenario(
    40,
    "api-sigterm",
    "API processes are stopped with SIGTERM while nothing can be stored, and started again",
    "F, D = 0, requests answered",
    count=800,
    mutant="api-without-grace",
)
async def api_sigterm(made: World) -> Expectations | None:
    """A rolling restart: each request in progress is answered, though what it waits for is locked."""
    await made.start_roles(**PATIENT)
    async with calling(made) as callers:
        async with callers.submitting(seconds=40):
            await made.recovers("start")
            for number in range(STOPS):
                await _stopped(made, callers, callers.apis[number % 2])
        await made.recovers("the last restart")
        await callers.settled()
    return Expectations(duplicates=0)


async def _stopped(made: World, callers: Callers, api: Role) -> None:
    """Stop it once requests wait for a table that is locked; each has to be answered."""
    address = f"http://127.0.0.1:{api.api_port}"

    def waiting() -> list[Attempt]:
        since = time() - UNDER_WAY
        return [it for it in callers.under_way if it.address == address and it.began < since]

    async with _locked(made), callers.hurrying():
        await asyncio.sleep(MORE)
        await made.until(lambda: len(waiting()) > 0, "requests that wait", 20)
        held = waiting()
        api.signal(signal.SIGTERM)
        await asyncio.sleep(MORE)
    code = await api.ended()
    assert code == 0, f"{api.name} ended with {code}: {api.last_words()}"
    made.fault("SIGTERM")
    cut = [attempt.key for attempt in held if attempt in callers.unanswered]
    assert not cut, f"{len(cut)} of {len(held)} requests in progress were not answered: {cut[:5]}"
    made.notes.append(f"{len(held)} requests in progress at a SIGTERM")
    await api.start()
    await api.ready()


@asynccontextmanager
async def _locked(made: World) -> AsyncIterator[None]:
    """Nothing can be stored meanwhile."""
    connection = await looking(made.database_url)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE notifications")
            yield
    finally:
        await connection.close()
