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
from tidings.broker.topology import layout
from tidings.broker.wire.confirms import ConfirmingChannel
from tidings.channels.email import failures, relay
from tidings.channels.network import bounded_http, http_client
from tidings.channels.twilio import api
from tidings.channels.webhook.postponements import PostponementSchedule
from tidings.channels.webhook.receivers import Decision, Receivers
from tidings.cli.main import main as tidings
from tidings.delivery.errors import (
    BrokerUnavailable,
    Deferred,
    MalformedNotification,
    Misrouted,
    Unavailable,
)
from tidings.ledger import database
from tidings.ledger.dead_letters import choice, replay
from tidings.ledger.notifications import accepting, changes, claims, dispatch
from tidings.operations.submissions import callers, intake
from tidings.scheduler import recovery
from tidings.telemetry import log_writer, logs
from tidings.worker import flow, providers, settle, worker
from tidings.worker.channel_worker import ChannelWorker
from tidings_events import burst, parsing
from tidings_events.notifications.base import new_id

log = structlog.get_logger(__name__)

MUTANTS: Final[dict[str, Callable[[], None]]] = {}


def mutant(change: Callable[[], None]) -> Callable[[], None]:
    """Register a mutant under its name."""
    MUTANTS[change.__name__.replace("_", "-")] = change
    return change


def apply(name: str) -> None:
    """Take the protection out of this process."""
    import_module("tests.chaos.inbox_mutants")  # which registers its own
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
def not_mandatory() -> None:
    """Publish without asking to hear of what leads nowhere."""
    usual = ConfirmingChannel.basic_publish

    async def publish(self: Any, *args: Any, **more: Any) -> Any:
        return await usual(self, *args, **{**more, "mandatory": False})

    set_on(ConfirmingChannel, "basic_publish", publish)


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
def single_replica() -> None:
    """Keep each queue on one node."""
    usual = layout._quorum
    set_on(
        layout,
        "_quorum",
        lambda **arguments: usual(**arguments, **{"x-quorum-initial-group-size": 1}),
    )


@mutant
def at_most_once_tiers() -> None:
    """Dead-letter as RabbitMQ does where nothing is said: at most once."""
    _without("x-dead-letter-strategy")


@mutant
def no_dead_letter_exchange() -> None:
    """Let RabbitMQ drop what was handed out too often."""
    _without("x-dead-letter-exchange", only_where="x-delivery-limit")


def _without(argument: str, only_where: str = "") -> None:
    usual = layout._quorum

    def quorum(**arguments: Any) -> dict[str, Any]:
        made = usual(**arguments)
        if only_where in made or not only_where:
            made.pop(argument, None)
            made.pop("x-dead-letter-strategy", None)
        return made

    set_on(layout, "_quorum", quorum)


@mutant
def no_redeclare() -> None:
    """Don't make a queue again that is gone."""

    async def nothing(self: Any, queue: str) -> None:
        del self, queue

    set_on(consumer.Consumer, "_declare_again", nothing)


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
def lane_by_routing_key() -> None:
    """Take the lane from the routing key, and refuse what contradicts it."""
    usual = flow.read

    def read(message: Any, lane: Any, **rest: Any) -> Any:
        channel, priority, *_ = [*message.routing_key.split("."), ""]
        try:
            return usual(message, type(lane)(channel, priority), **rest)
        except Misrouted as error:
            raise MalformedNotification(*error.problems) from None

    set_on(flow, "read", read)


@mutant
def nobody_looks() -> None:
    """Wait for lost messages."""

    async def wait(self: Any) -> None:
        del self
        await asyncio.Event().wait()

    set_on(recovery.Recovery, "run_for_ever", wait)


@mutant
def tiers_by_number() -> None:
    """Name retry queues by their place instead of their delay."""
    usual = layout.retry_queue

    def numbered(channel: str, delay: Any) -> str:
        if channel != "email" or delay.seconds not in (2, 3):
            return usual(channel, delay)
        return "tidings.email.retry.second"

    set_on(layout, "retry_queue", numbered)


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
def unknown_retried() -> None:
    """Send again where nobody knows whether it was sent."""
    os.environ["TIDINGS_SMS_GUARANTEE"] = "at_least_once"


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
def reads_at_once() -> None:
    """Read a large body as a small one is read."""
    set_on(parsing, "HARMLESS", 1 << 30)


@mutant
def endless_replies() -> None:
    """Read whatever a web server sends before its reply."""
    set_on(bounded_http, "INFORMATIONAL", 1 << 60)
    set_on(bounded_http, "HEAD", 1 << 60)
    set_on(bounded_http.BoundedProtocol, "feed_data", bounded_http.ResponseHandler.feed_data)


@mutant
def receivers_alike() -> None:
    """Ask every receiver at once, however it answers."""
    set_on(Receivers, "decide", lambda *_: Decision.SEND)
    set_on(Receivers, "late", lambda *_: False)


@mutant
def slow_ones_pause() -> None:
    """Postpone for as long as possible what a slow receiver can't be asked yet."""
    set_on(PostponementSchedule, "postponed", lambda self, *_: self._waits[-1])


@mutant
def holds_what_comes() -> None:
    """Hold whatever the broker hands over, as many as a prefetch allows."""
    set_on(memory_budget.MemoryBudget, "_fits", lambda *_: True)
    set_on(adaptive_prefetch.AdaptivePrefetch, "_affordable", lambda self: self._prefetch)


@mutant
def holds_for_half_a_minute() -> None:
    """Leave what a scheduler took to it for half a minute, whatever became of it."""
    assert "lease" in dispatch.Outbox.take.__kwdefaults__
    dispatch.Outbox.take.__kwdefaults__["lease"] = 30.0
    set_on(dispatch.Outbox.keep, "__defaults__", (30.0,))


@mutant
def own_want_counts() -> None:
    """Take a process that may open no more files for a provider that is down."""
    for module in (http_client, relay, failures, api):
        set_on(module, "shortage", lambda *_, **__: None)


@mutant
def deferred_counts_as_down() -> None:
    """Take a full mailbox for a relay that is down."""
    effect = providers.Providers._effect

    def counted(self: Any, provider: Any, era: int, error: Any, id: Any) -> Any:
        if isinstance(error, Deferred):
            error = Unavailable(error.message, provider=error.provider, code=error.code)
        return effect(self, provider, era, error, id)

    set_on(providers.Providers, "_effect", counted)


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


def main() -> None:
    """`NAME COMMAND …` is `tidings COMMAND …`, with that protection taken out."""
    apply(sys.argv.pop(1))
    if failpoints.VARIABLE in os.environ:
        failpoints.main()
    else:
        tidings()
