"""FastStream, as its documentation advises."""

from collections.abc import Sequence

from benchmarks.amqp import Envelope
from benchmarks.contenders.base import (
    PEERS_PYTHON,
    About,
    Job,
    PlainQueues,
    Shape,
    peer_environment,
)
from benchmarks.messages import Message
from benchmarks.processes import Command


class FastStream(PlainQueues):
    """asyncio, acks after the handler, quorum queues."""

    about = About(
        name="FastStream",
        distribution="faststream",
        shape=Shape(2, 1, 50),
        tried=(Shape(1, 1, 100), Shape(1, 1, 200), Shape(2, 1, 50), Shape(2, 1, 100)),
        configuration=(
            "processes, with a prefetch each, as stated; uvloop",
            "AckPolicy.NACK_ON_ERROR: the ack comes after the handler",
            "quorum queues; the handler gets the bytes as they are",
        ),
        cannot={"W4": "it has no retry after a delay: what fails is put back at once, or dropped"},
    )

    def envelope(self, message: Message) -> Envelope:
        """The notification itself."""
        properties = {"content_type": "application/json"}
        return Envelope("", self.queue(message.priority), message.body, properties)

    def commands(self, job: Job) -> Sequence[Command]:
        """Its processes, as `faststream run --workers` starts them."""
        command = Command(
            [PEERS_PYTHON, "-m", "benchmarks.peers.faststream_worker"], peer_environment(job)
        )
        return [command] * job.shape.processes

    def for_concurrency(self, at_once: int, processes: int) -> Shape:
        """The prefetch bounds it."""
        return Shape(processes, 1, at_once // processes)
