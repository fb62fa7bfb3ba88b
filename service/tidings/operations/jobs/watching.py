"""Watches a job of any kind to its end."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeAlias
from uuid import UUID

from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.jobs.hosting import follow
from tidings.operations.jobs.views import JobView

SeeJob: TypeAlias = Callable[
    [Callable[[], None]], AbstractContextManager[Callable[[JobView], None]]
]
"""Entered when the watch begins, with a function that ends it; gives a function that is called with the job."""


async def watch(backend: Backend, actor: Actor, id: UUID, see: SeeJob) -> JobView:
    """Watch a job until it ends or a person ends the watch, and run it where no scheduler does.

    Raises:
        BrokerUnavailable: RabbitMQ is unavailable, and the job was to run here.
        LedgerUnavailable: PostgreSQL is unavailable.
    """
    interrupted = asyncio.Event()
    with see(interrupted.set) as saw:
        return JobView.of(
            await follow(backend, actor, id, lambda job: saw(JobView.of(job)), interrupted)
        )
