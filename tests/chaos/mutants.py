"""`tidings` with one protection taken out: what shows that a scenario can fail at all.

Only the fault harness starts it, with `python tests/chaos/mutants.py NAME worker`; the service knows
nothing of it. Each mutant is what somebody could write by mistake.
"""

import asyncio
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import structlog

from tidings.broker import consumer, topology
from tidings.broker.confirms import ConfirmingChannel
from tidings.delivery.errors import BrokerUnavailable
from tidings.ledger import changes, claims, letter_replay
from tidings.worker import flow, settle, worker
from tidings.worker.channel_worker import ChannelWorker

log = structlog.get_logger(__name__)

MUTANTS: Final[dict[str, Callable[[], None]]] = {}


def mutant(change: Callable[[], None]) -> Callable[[], None]:
    """Register a mutant under its name."""
    MUTANTS[change.__name__.replace("_", "-")] = change
    return change


def apply(name: str) -> None:
    """Take the protection out of this process."""
    MUTANTS[name]()


def _replace(module: Any, name: str, old: str, new: str) -> None:
    """Change a statement, which has to have what is changed."""
    text = getattr(module, name)
    assert old in text, (
        f"{module.__name__}.{name} has no {old!r} any more: bring this mutant up to date"
    )
    setattr(module, name, text.replace(old, new))


@mutant
def ack_before_record() -> None:
    """Acknowledge as soon as it is claimed."""
    claim, ack = flow.Flow._claim, consumer.Delivery.ack
    acked: set[tuple[int, int]] = set()

    def once(delivery: consumer.Delivery) -> None:
        key = (id(delivery.settlement), delivery.tag)
        if key not in acked:
            acked.add(key)
            ack(delivery)

    async def claimed(self: Any, delivery: consumer.Delivery, *rest: Any) -> Any:
        answer = await claim(self, delivery, *rest)
        if isinstance(answer, flow.Claimed):
            delivery.ack()
            await asyncio.sleep(0.01)
        return answer

    consumer.Delivery.ack = once
    flow.Flow._claim = claimed


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

    settle.Settler._publish = publish


@mutant
def send_in_callback() -> None:
    """Let the loss of the connection cancel what is being handled, as client libraries do."""
    usual = flow.Flow.handle

    async def handle(self: Any, delivery: consumer.Delivery, release: Any) -> Any:
        work = asyncio.ensure_future(usual(self, delivery, release))
        while not work.done():
            await asyncio.wait([work], timeout=0.01)
            if not delivery.alive and not work.done():
                work.cancel()
                await asyncio.wait([work])
                return None
        return work.result()

    flow.Flow.handle = handle


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

    ChannelWorker.finish = finish


@mutant
def not_mandatory() -> None:
    """Publish without asking to hear of what leads nowhere."""
    usual = ConfirmingChannel.basic_publish

    async def publish(self: Any, *args: Any, **more: Any) -> Any:
        return await usual(self, *args, **{**more, "mandatory": False})

    ConfirmingChannel.basic_publish = publish


@mutant
def one_connection() -> None:
    """Publish on the connection that acknowledges."""
    usual = worker.Worker.__init__

    def begin(self: Any, *args: Any, **more: Any) -> None:
        usual(self, *args, **more)
        for one in self._workers:
            one._flow.settler._publisher._connection = self._consuming

    worker.Worker.__init__ = begin


@mutant
def single_replica() -> None:
    """Keep each queue on one node."""
    usual = topology._quorum
    topology._quorum = lambda **arguments: usual(**arguments, **{"x-quorum-initial-group-size": 1})


@mutant
def at_most_once_tiers() -> None:
    """Dead-letter as RabbitMQ does where nothing is said: at most once."""
    _without("x-dead-letter-strategy")


@mutant
def no_dead_letter_exchange() -> None:
    """Let RabbitMQ drop what was handed out too often."""
    _without("x-dead-letter-exchange", only_where="x-delivery-limit")


def _without(argument: str, only_where: str = "") -> None:
    usual = topology._quorum

    def quorum(**arguments: Any) -> dict[str, Any]:
        made = usual(**arguments)
        if only_where in made or not only_where:
            made.pop(argument, None)
            made.pop("x-dead-letter-strategy", None)
        return made

    topology._quorum = quorum


@mutant
def no_redeclare() -> None:
    """Don't make a queue again that is gone."""

    async def nothing(self: Any, queue: str) -> None:
        del self, queue

    consumer.Consumer._declare_again = nothing


@mutant
def no_lease() -> None:
    """Take what another worker is sending."""
    _replace(claims, "CLAIM", "AND n.lease_until < now() AND", "AND")


@mutant
def claimed_again() -> None:
    """Take an attempt that was made already."""
    _replace(
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
        claims.CLAIM = text.replace("now()", f"to_timestamp({time.time():.3f})")
        return await usual(self, *rest)

    claims.Claims._taken = taken


@mutant
def malformed_dropped() -> None:
    """Acknowledge what can't be read, and that's it."""

    async def drop(self: Any, delivery: consumer.Delivery, error: Exception) -> None:
        del self, error
        delivery.ack()

    flow.Flow._malformed = drop


@mutant
def tiers_by_number() -> None:
    """Name retry queues by their place instead of their delay."""
    usual = topology.tier_queue

    def numbered(channel: str, delay: Any) -> str:
        if channel != "email" or delay.seconds not in (2, 3):
            return usual(channel, delay)
        return "tidings.email.retry.second"

    topology.tier_queue = numbered


@mutant
def replay_without_compare() -> None:
    """Replay a letter whatever became of it meanwhile."""
    _replace(
        letter_replay,
        "LOCK",
        "epoch, state, replay,",
        "epoch, 'buried' AS state, NULL::uuid AS replay,",
    )
    _replace(letter_replay, "LOCK", "FOR UPDATE", "")
    _replace(letter_replay, "QUEUE", "AND n.state = i.before", "")
    letter_replay.refusal = lambda *_, **__: None


@mutant
def cancel_without_compare() -> None:
    """Cancel whatever state it is in."""
    _replace(changes, "CANCEL", "AND found.state = ANY($2::text[])", "AND $2::text[] IS NOT NULL")


@mutant
def unknown_retried() -> None:
    """Send again where nobody knows whether it was sent."""
    import os

    os.environ["TIDINGS_SMS_GUARANTEE"] = "at_least_once"


def main() -> None:
    """`mutants.py NAME COMMAND …` is `tidings COMMAND …`, with that protection taken out."""
    name = sys.argv.pop(1)
    apply(name)
    from tidings.cli.main import main as tidings

    tidings()


if __name__ == "__main__":
    main()
