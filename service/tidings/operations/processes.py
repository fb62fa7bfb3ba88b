"""Processes that run, and those that vanished."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from tidings.delivery.errors import TidingsError
from tidings.ledger.operators.processes import KnownProcess
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend, opened
from tidings.settings import Settings

__all__ = ["KnownProcess", "list_", "note_on_other_templates"]

PATIENCE: Final = 2.0
"""Seconds that PostgreSQL has to answer, if its answer only adds a hint."""


async def list_(backend: Backend) -> Sequence[KnownProcess]:
    """Every process that runs, or that vanished within a day."""
    return await backend.ledger.processes.known()


async def note_on_other_templates(settings: Settings, actor: Actor, digest: str) -> str:
    """Which running workers have read other templates than these; empty if none has, or PostgreSQL is away."""
    with suppress(TidingsError, TimeoutError):
        async with asyncio.timeout(PATIENCE), opened(settings, str(actor)) as backend:
            known = await list_(backend)
            holding = [
                process
                for process in known
                if process.running and process.templates not in {"", digest}
            ]
            where = ", ".join(f"{process.host}:{process.pid}" for process in holding)
            note = "workers use other templates than these: they read them at start"
            return f"{note}: {where}" if holding else ""
    return ""
