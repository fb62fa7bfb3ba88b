"""Protections of what is accepted, due or relayed, and `tidings` without each of them."""

import asyncio
from typing import Any

import structlog
from tests.chaos.mutants import mutant, replace_in, set_on

from tidings.ledger.notifications import accepting, dispatch
from tidings.operations.submissions import callers, intake
from tidings_events import burst
from tidings_events.notifications.base import new_id

log = structlog.get_logger(__name__)


@mutant
def holds_for_half_a_minute() -> None:
    """Leave what a scheduler took to it for half a minute, whatever became of it."""
    assert "lease" in dispatch.Outbox.take.__kwdefaults__
    dispatch.Outbox.take.__kwdefaults__["lease"] = 30.0
    set_on(dispatch.Outbox.keep, "__defaults__", (30.0,))


@mutant
def answered_before_stored() -> None:
    """Answer first, and store and publish a moment later."""
    usual = intake.Intake._accept
    later: set[asyncio.Task[Any]] = set()

    async def accept(self: Any, submissions: Any, **how: Any) -> Any:
        async def wait_and_accept() -> None:
            await asyncio.sleep(0.2)
            await usual(self, submissions, **how)

        later.add(asyncio.create_task(wait_and_accept()))
        return [intake.NEW] * len(submissions)

    set_on(intake.Intake, "_accept", accept)


@mutant
def new_ids() -> None:
    """Give a notification another id each time that its request comes."""
    set_on(callers, "id_for", lambda *_: new_id())


@mutant
def no_outbox() -> None:
    """Leave what could not be published to whoever looks for it."""
    store = accepting.Accepting.store

    async def stored(self: Any, submissions: Any, *, outbox: bool = False, **how: Any) -> Any:
        del outbox
        return await store(self, submissions, **how)

    async def nothing(self: Any, ids: Any) -> None:
        del self, ids

    set_on(accepting.Accepting, "store", stored)
    set_on(accepting.Accepting, "leave_to_outbox", nothing)


@mutant
def not_published_alone() -> None:
    """Publish nothing that PostgreSQL could not store, and answer as if it were accepted."""

    async def accepted(self: Any, submissions: Any) -> Any:
        del self
        return [intake.NEW] * len(submissions)

    set_on(intake.Intake, "_publish_alone", accepted)


@mutant
def api_without_grace() -> None:
    """Stop at once: requests in progress are cut off."""
    from tidings.api import server  # no other role has its libraries

    usual = server._Server.shutdown

    async def shutdown(self: Any, sockets: Any = None) -> None:
        self.force_exit = True
        for connection in self.server_state.connections:
            connection.transport.abort()
        await usual(self, sockets)

    server._Server.shutdown = shutdown  # type: ignore[method-assign]  # it has uvicorn's


@mutant
def takes_for_good() -> None:
    """Forget what is due as soon as it is taken."""
    replace_in(dispatch, "TAKE", "dispatch_at = now() +", "dispatch_at = NULL::timestamptz +")


@mutant
def relay_without_confirm() -> None:
    """Delete what was published without waiting for its confirm."""

    async def wait(self: Any, channel: Any) -> None:
        del self, channel

    set_on(burst.Burst, "wait", wait)
