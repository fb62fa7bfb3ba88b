"""Tidings: its own worker process."""

from collections.abc import Sequence
from typing import Final

from benchmarks.amqp import Envelope, Wire
from benchmarks.contenders.base import (
    PYTHON,
    RETRY_AFTER,
    ROOT,
    TEMPLATES,
    About,
    Job,
    Shape,
)
from benchmarks.messages import Message
from benchmarks.processes import Command
from tidings.broker.topology.layout import Topology, lane_queue, topology
from tidings.delivery.attempt import Lane
from tidings.delivery.delay import Delay
from tidings_events.routing import EXCHANGE

CHANNEL: Final = "email"
TIERS: Final = tuple(Delay(seconds) for seconds in (RETRY_AFTER, 15, 30, 60))
"""Of the one retry there is here, and of one-time passwords."""
LAYOUT: Final[Topology] = topology({CHANNEL: TIERS})


class Tidings:
    """`tidings worker` for mail; the same worker around a channel that does nothing, or only waits."""

    channel = CHANNEL
    layout = LAYOUT
    """What its worker declares."""
    vhost = "/"
    attempts: str | None = "attempts"
    about = About(
        name="Tidings",
        distribution="tidings",
        shape=Shape(1, 400, 800),
        tried=(Shape(1, 200, 400), Shape(1, 400, 800), Shape(1, 800, 1600)),
        configuration=(
            "one `tidings worker`",
            "TIDINGS_EMAIL_CONCURRENCY and TIDINGS_EMAIL_PREFETCH as stated",
            "TIDINGS_LOG_LEVEL=warning, as for all",
            "everything else by default",
        ),
        peer=False,
    )

    def declare(self, wire: Wire, priorities: Sequence[str]) -> None:
        """As the worker declares them at its start."""
        del priorities
        for exchange in self.layout.exchanges:
            wire.declare_exchange(exchange.name, exchange.type, exchange.arguments)
        for queue in self.layout.queues:
            wire.declare_queue(queue.name, queue.arguments)
        for binding in self.layout.bindings:
            wire.bind(binding.queue, binding.exchange, binding.key)

    def queue(self, priority: str) -> str:
        """A lane."""
        return lane_queue(Lane(self.channel, priority))

    def queues(self, priorities: Sequence[str]) -> Sequence[str]:
        """The whole topology of the channel."""
        del priorities
        return [queue.name for queue in self.layout.queues]

    def envelope(self, message: Message) -> Envelope:
        """As the contract says."""
        properties = {
            "content_type": "application/json",
            "message_id": message.id,
            "correlation_id": message.id,
        }
        return Envelope(EXCHANGE, f"{CHANNEL}.{message.priority}", message.body, properties)

    def commands(self, job: Job) -> Sequence[Command]:
        """The command that people run, or the launcher with the other channel."""
        program = ["-m", "benchmarks.contenders.tidings_without_a_channel"]
        if job.smtp_port:
            program = [
                "-c",
                "from tidings.cli.main import main; main()",
                "worker",
                "--channel",
                CHANNEL,
            ]
        return [Command([PYTHON, *program], self.environment(job))] * job.shape.processes

    def for_concurrency(self, at_once: int, processes: int) -> Shape:
        """Twice as many held as sent."""
        return Shape(processes, at_once // processes, 2 * at_once // processes)

    def environment(self, job: Job) -> dict[str, str]:
        """What `tidings` reads."""
        return {
            "PYTHONPATH": str(ROOT),
            "TIDINGS_AMQP_URL": job.amqp_url,
            "TIDINGS_DATABASE_URL": job.database_url,
            "TIDINGS_LOG_LEVEL": "warning",
            "TIDINGS_TEMPLATES_ROOT": str(TEMPLATES),
            "TIDINGS_EMAIL_CONCURRENCY": str(job.shape.at_once),
            "TIDINGS_EMAIL_PREFETCH": str(job.shape.prefetch or job.shape.at_once),
            "TIDINGS_EMAIL_RETRY": f"{RETRY_AFTER}s",
            "TIDINGS_EMAIL_HOST": "127.0.0.1",
            "TIDINGS_EMAIL_PORT": str(job.smtp_port or 25),
            "TIDINGS_EMAIL_TLS": "none",
            "TIDINGS_EMAIL_SENDER": "The shop <no-reply@example.com>",
            "BENCH_SLOWNESS": str(job.slowness),
        }
