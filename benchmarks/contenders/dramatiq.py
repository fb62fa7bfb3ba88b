"""Dramatiq, as its documentation advises for production."""

import json
import time
from collections.abc import Sequence

from benchmarks.amqp import Envelope, Wire
from benchmarks.contenders.base import PEERS_BIN, About, Job, PlainQueues, Shape, peer_environment
from benchmarks.messages import Message
from benchmarks.processes import Command
from benchmarks.servers import QUORUM_VHOST

ACTOR = "deliver"


class Dramatiq(PlainQueues):
    """Processes of threads; quorum queues by the virtual host's default."""

    vhost = QUORUM_VHOST
    about = About(
        name="Dramatiq",
        distribution="dramatiq",
        shape=Shape(2, 16),
        tried=(Shape(1, 8), Shape(1, 16), Shape(2, 4), Shape(2, 8), Shape(2, 16)),
        configuration=(
            "processes × threads as stated",
            "confirm_delivery; acks are always late",
            "quorum queues through the virtual host's default_queue_type: it has no setting of its own",
            "the default middleware but Prometheus",
        ),
    )

    def envelope(self, message: Message) -> Envelope:
        """Dramatiq's JSON message."""
        body = {
            "queue_name": self.queue(message.priority),
            "actor_name": ACTOR,
            "args": [message.body.decode()],
            "kwargs": {},
            "options": {},
            "message_id": message.id,
            "message_timestamp": int(time.time() * 1000),
        }
        return Envelope("", self.queue(message.priority), json.dumps(body).encode())

    def declare(self, wire: Wire, priorities: Sequence[str]) -> None:
        """A queue, one for delays, and one for the dead, each."""
        for name in (self.queue(priority) for priority in priorities):
            dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"{name}.XQ"}
            wire.declare_queue(name, dead)
            wire.declare_queue(f"{name}.DQ", dead)
            wire.declare_queue(f"{name}.XQ", {"x-message-ttl": 7 * 86_400_000})

    def queues(self, priorities: Sequence[str]) -> Sequence[str]:
        """All three of each."""
        return [
            f"{self.queue(priority)}{end}" for priority in priorities for end in ("", ".DQ", ".XQ")
        ]

    def commands(self, job: Job) -> Sequence[Command]:
        """One `dramatiq`, which starts its own processes."""
        return [
            Command(
                [
                    *(str(PEERS_BIN / "dramatiq"), "benchmarks.peers.dramatiq_worker"),
                    *("--processes", str(job.shape.processes)),
                    *("--threads", str(job.shape.at_once)),
                    *("--queues", *(self.queue(priority) for priority in job.priorities)),
                ],
                peer_environment(job),
            )
        ]

    def for_concurrency(self, at_once: int, processes: int) -> Shape:
        """A thread for each send."""
        return Shape(processes, at_once // processes)
