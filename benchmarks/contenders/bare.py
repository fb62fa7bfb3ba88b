"""Two bare aio-pika loops: consume by callback and ack, with nothing recorded, or a row for each message."""

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

_ONLY = "a loop of a dozen lines, for comparison: it has nothing but its rate"


class BareLoop(PlainQueues):
    """Reads and acks. What aio-pika costs."""

    program = "benchmarks.peers.bare_worker"
    attempts: str | None = None
    about = About(
        name="bare loop",
        distribution="aio-pika",
        shape=Shape(1, 1, 1000),
        tried=(Shape(1, 1, 50), Shape(1, 1, 200), Shape(1, 1, 1000)),
        configuration=(
            "aio-pika, callback, an ack each",
            "uvloop",
            "records nothing, validates nothing",
        ),
        peer=False,
        cannot=dict.fromkeys(("W3", "W4", "W5", "W7"), _ONLY),
    )

    def envelope(self, message: Message) -> Envelope:
        """The notification itself."""
        properties = {"content_type": "application/json"}
        return Envelope("", self.queue(message.priority), message.body, properties)

    def commands(self, job: Job) -> Sequence[Command]:
        """Its processes."""
        command = Command([PEERS_PYTHON, "-m", self.program], peer_environment(job))
        return [command] * job.shape.processes

    def for_concurrency(self, at_once: int, processes: int) -> Shape:
        """The prefetch bounds it."""
        return Shape(processes, 1, at_once // processes)


class BareLoopWithRow(BareLoop):
    """Reads, inserts a row, acks. What recording costs where each message is a transaction."""

    program = "benchmarks.peers.bare_row_worker"
    attempts = "peer_notifications"
    about = About(
        name="bare loop + row",
        distribution="aio-pika",
        shape=Shape(1, 1, 200),
        tried=(Shape(1, 1, 50), Shape(1, 1, 200), Shape(2, 1, 100)),
        configuration=(
            "the same",
            "one INSERT a message through an asyncpg pool of 8, then the ack",
        ),
        peer=False,
        cannot={**BareLoop.about.cannot, "W2": _ONLY},
    )
