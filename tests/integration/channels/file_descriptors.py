"""A program of its own: sends while this process may open no more files, and again once it may.

    python -m tests.integration.channels.file_descriptors email

Prints what came of it as JSON.
"""

import asyncio
import json
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import import_module
from time import monotonic

from tests.contract.channels.rig import Rig

from tidings.delivery.circuit import Circuit, CircuitPolicy, Phase
from tidings.delivery.delay import Delay
from tidings.delivery.errors import DeliveryError
from tidings.delivery.outcome import Released
from tidings.delivery.retry_policy import DeliveryPolicy, Guarantee, RetryPolicy
from tidings.worker.providers import Provider, Providers

POLICY = DeliveryPolicy(RetryPolicy((Delay(1),)), Guarantee.AT_MOST_ONCE, 5.0)
TRIES = 3


@contextmanager
def no_more_files() -> Iterator[None]:
    """Every descriptor that this process may have is taken."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
    held: list[int] = []
    try:
        while True:
            held.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass
    try:
        yield
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def _meets(providers: Providers, rig: Rig) -> str:
    """What a worker makes of one send: `sent`, `released`, or what spends the attempt."""
    request = rig.request()
    try:
        await providers.send(request)
    except DeliveryError as error:
        decided = POLICY.decide(error, request.attempt, datetime.now(UTC))
        return "released" if isinstance(decided, Released) else f"{error.kind}: {error.message}"
    return "sent"


async def main(name: str) -> None:
    rig: Rig = import_module(f"tests.contract.channels.rigs.{name}_rig").RIG()
    async with rig:
        channel = await rig.channel()
        circuit = Circuit(CircuitPolicy(probe=0.5))
        providers = Providers([Provider("primary", channel, circuit)])
        try:
            await asyncio.to_thread(
                rig.request
            )  # what is loaded when first used is there, and a thread
            with no_more_files():
                met = [await _meets(providers, rig) for _ in range(TRIES)]
                short_of_resources, phase = providers.short_of_resources, circuit.phase
            until = monotonic() + 10
            while (after := await _meets(providers, rig)) != "sent" and monotonic() < until:
                await asyncio.sleep(0.05)
            report = {
                "met": met,
                "short_of_resources": short_of_resources,
                "suspended": phase is Phase.OPEN,
            }
            report |= {
                "after": after,
                "short_after": providers.short_of_resources,
                "taken": rig.taken,
            }
            sys.stdout.write(json.dumps(report))
        finally:
            await providers.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
