"""A relay that ends itself with SIGKILL at a step of its second batch: `python -m tests.support.killed_relay STEP`.

DSN, SCHEMA and BROKER say where. Each step lies between two writes: what a crash there means is tested.
"""

import asyncio
import os
import signal
import sys
from typing import Any, Final

import asyncpg
from tests.support.relay import Relay as Wire

from tidings_events.outbox import OutboxRelay

STEPS: Final = ("after-lock", "during-publish", "after-confirm", "before-commit", "after-commit")
VISIT: Final = 2
"""The batch in which it ends."""
BATCH: Final = 20


def die() -> None:
    """End as by a power cut."""
    os.kill(os.getpid(), signal.SIGKILL)


class Mortal(asyncpg.Connection):
    """A connection that ends the process at a statement."""

    step = ""
    batches = 0

    async def fetch(self, query: str, *arguments: Any, **how: Any) -> Any:
        """Lock rows."""
        rows = await super().fetch(query, *arguments, **how)
        if rows and "FOR UPDATE" in query:
            Mortal.batches += 1
            self._die_at("after-lock")
        return rows

    async def execute(self, query: str, *arguments: Any, **how: Any) -> Any:
        """Settle rows, commit."""
        if query.startswith("DELETE"):
            self._die_at("after-confirm")
        if query == "COMMIT":
            self._die_at("before-commit")
        status = await super().execute(query, *arguments, **how)
        if query == "COMMIT":
            self._die_at("after-commit")
        return status

    def _die_at(self, step: str) -> None:
        if step == self.step and Mortal.batches == VISIT:
            die()


class DyingWire(Wire):
    """A wire on which a relay's last sign of life is half a batch."""

    async def _request(self) -> None:
        if Mortal.step == "during-publish" and Mortal.batches == VISIT:
            die()
        await super()._request()


async def main(step: str) -> None:
    """Publish until killed."""
    Mortal.step = step
    async with DyingWire(os.environ["BROKER"]) as wire:

        async def connect() -> Any:
            return await asyncpg.connect(os.environ["DSN"], connection_class=Mortal)

        relay = OutboxRelay("", wire.url, schema=os.environ["SCHEMA"], batch=BATCH, connect=connect)
        await relay.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
