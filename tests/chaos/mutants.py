"""`tidings` with one protection taken out: what shows that a scenario can fail at all.

Only the fault harness starts it; the service knows nothing of it. Each mutant is what somebody could write by mistake.
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

import structlog
from tests.chaos import failpoints

from tidings.broker import adaptive_prefetch, consumer, memory_budget
from tidings.cli.main import main as tidings
from tidings.delivery.errors import (
    BrokerUnavailable,
)
from tidings.ledger import database
from tidings.ledger.dead_letters import choice, replay
from tidings.ledger.notifications import changes, claims
from tidings.scheduler import recovery
from tidings.telemetry import log_writer, logs
from tidings.worker import flow, settle, worker
from tidings.worker.channel_worker import ChannelWorker

log = structlog.get_logger(__name__)

AREAS: Final = ("accepting", "channel", "inbox", "topology")
"""Of mutants that have a module of their own; those of workers and the ledger are here."""
MUTANTS: Final[dict[str, Callable[[], None]]] = {}


def mutant(change: Callable[[], None]) -> Callable[[], None]:
    """Register a mutant under its name."""
    MUTANTS[change.__name__.replace("_", "-")] = change
    return change


def apply(name: str) -> None:
    """Take the protection out of this process."""
    for area in AREAS:
        import_module(f"tests.chaos.{area}_mutants")  # which registers its own
    MUTANTS[name]()


def replace_in(module: Any, name: str, old: str, new: str) -> None:
    """Change a statement, which has to have what is changed."""
    text = getattr(module, name)
    assert old in text, (
        f"{module.__name__}.{name} has no {old!r} any more: bring this mutant up to date"
    )
    setattr(module, name, text.replace(old, new))


def set_on(owner: Any, name: str, value: Any) -> None:
    """Change what is there: a new attribute would change nothing."""
    assert hasattr(owner, name), (
        f"{owner.__name__} has no {name} any more: bring this mutant up to date"
    )
    setattr(owner, name, value)


@mutant
def ack_before_record() -> None:
    """Acknowledge as soon as it is claimed."""
    claim, ack = flow.Flow.claim, consumer.BrokerDelivery.ack
    acked: set[tuple[int, int]] = set()

    def once(delivery: consumer.BrokerDelivery) -> None:
        key = (id(delivery.settlement), delivery.tag)
        if key not in acked:
            acked.add(key)
            ack(delivery)

    async def claimed(self: Any, work: flow.Work) -> Any:
        answer = await claim(self, work)
        if isinstance(answer, flow.Claimed):
            work.delivery.ack()
            await asyncio.sleep(0.01)
        return answer

    set_on(consumer.BrokerDelivery, "ack", once)
    set_on(flow.Flow, "claim", claimed)


@mutant
def ack_before_confirm() -> None:
    """Acknowledge what is passed on before it is confirmed, and don't look whether it was."""

    async def publish(
        self: Any, delivery: Any, exchange: str, key: str, *rest: Any, **more: Any
    ) -> None:
        delivery.ack()
        body, headers = rest
        try:
            await self._publisher.publish(exchange, key, body, headers)
        except BrokerUnavailable as error:
            log.warning("not passed on", error=str(error))

    set_on(settle.Settler, "_publish", publish)


@mutant
def send_in_callback() -> None:
    """Let the loss of the connection cancel what is being handled, as client libraries do."""
    usual = flow.Flow.handle

    async def handle(self: Any, delivery: consumer.BrokerDelivery, release: Any) -> Any:
        work = asyncio.ensure_future(usual(self, delivery, release))
        while not work.done():
            await asyncio.wait([work], timeout=0.01)
            if not delivery.alive and not work.done():
                work.cancel()
                await asyncio.wait([work])
                return None
        return work.result()

    set_on(flow.Flow, "handle", handle)


@mutant
def no_grace() -> None:
    """Stop at once: what is under way is cut off."""

    async def finish(self: Any, grace: float) -> int:
        del grace
        self._stopping = True
        self.consumer.stop_taking()
        for task in self._tasks:
            task.cancel()
        return 0

    set_on(ChannelWorker, "finish", finish)


@mutant
def one_connection() -> None:
    """Publish on the connection that acknowledges."""
    usual = worker.Worker.__init__

    def begin(self: Any, *args: Any, **more: Any) -> None:
        usual(self, *args, **more)
        for channel_worker in self._workers:
            channel_worker._flow.settler._publisher._connection = self._consuming

    set_on(worker.Worker, "__init__", begin)


@mutant
def no_lease() -> None:
    """Take what another worker is sending."""
    replace_in(claims, "CLAIM", "AND n.lease_until < now() AND", "AND")


@mutant
def claimed_again() -> None:
    """Take an attempt that was made already."""
    replace_in(
        claims,
        "CLAIM",
        "n.state IN ('queued', 'retrying') AND n.attempt < excluded.attempt",
        "n.state <> 'sending' AND n.attempt <= excluded.attempt",
    )


@mutant
def leases_by_own_clock() -> None:
    """Measure leases by the worker's clock."""
    usual, text = claims.Claims._taken, claims.CLAIM

    async def taken(self: Any, *rest: Any) -> Any:
        set_on(claims, "CLAIM", text.replace("now()", f"to_timestamp({time.time():.3f})"))
        return await usual(self, *rest)

    set_on(claims.Claims, "_taken", taken)


@mutant
def malformed_dropped() -> None:
    """Acknowledge what can't be read, and that's it."""

    async def drop(self: Any, delivery: consumer.BrokerDelivery, error: Exception) -> None:
        del self, error
        delivery.ack()

    set_on(flow.Flow, "_malformed", drop)


@mutant
def nobody_looks() -> None:
    """Wait for lost messages."""

    async def wait(self: Any) -> None:
        del self
        await asyncio.Event().wait()

    set_on(recovery.Recovery, "run_for_ever", wait)


@mutant
def replay_without_compare() -> None:
    """Replay a dead letter whatever became of it meanwhile."""
    replace_in(
        replay,
        "LOCK",
        "epoch, state, replay,",
        "epoch, 'open' AS state, NULL::uuid AS replay,",
    )
    replace_in(replay, "LOCK", "FOR UPDATE", "")
    replace_in(replay, "QUEUE", "AND n.state = i.before", "")
    set_on(choice, "refusal", lambda *_, **__: None)


@mutant
def cancel_without_compare() -> None:
    """Cancel whatever state it is in."""
    replace_in(changes, "CANCEL", "AND found.state = ANY($2::text[])", "AND $2::text[] IS NOT NULL")


@mutant
def keeps_connections() -> None:
    """Use open connections to PostgreSQL again, whatever one of them said."""

    async def nothing(self: Any, *_: Any) -> None:
        del self

    set_on(database.PostgresDatabase, "_renew", nothing)


@mutant
def waits_for_ever() -> None:
    """Wait for answers as long as it takes."""
    for name in ("AMQP_TIMEOUT", "DATABASE_TIMEOUT", "EMAIL_SEND_TIMEOUT", "SMS_SEND_TIMEOUT"):
        os.environ[f"TIDINGS_{name}"] = "10m"


@mutant
def log_blocks() -> None:
    """Write each line at once, however long that takes."""

    def write(self: Any, text: str) -> int:
        os.write(self._descriptor, text.encode())
        return len(text)

    set_on(log_writer.LogWriter, "write", write)


@mutant
def log_raises() -> None:
    """Write each line at once, and let whoever logs know where that fails."""
    log_blocks()
    set_on(logs, "_never_raising", lambda logger, dropped: logger)


@mutant
def holds_what_comes() -> None:
    """Hold whatever the broker hands over, as many as a prefetch allows."""
    set_on(memory_budget.MemoryBudget, "_fits", lambda *_: True)
    set_on(adaptive_prefetch.AdaptivePrefetch, "_affordable", lambda self: self._prefetch)


def main() -> None:
    """`NAME COMMAND …` is `tidings COMMAND …`, with that protection taken out."""
    apply(sys.argv.pop(1))
    if failpoints.VARIABLE in os.environ:
        failpoints.main()
    else:
        tidings()
