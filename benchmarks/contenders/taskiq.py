"""taskiq with taskiq-aio-pika, as their documentation advises."""

import json
from collections.abc import Sequence

from benchmarks.amqp import Envelope, Wire
from benchmarks.contenders.base import PEERS_BIN, About, Job, PlainQueues, Shape, peer_environment
from benchmarks.messages import Message
from benchmarks.processes import Command

TASK = "deliver"
DEAD = "bench.dead"
DELAYED = "bench.delayed"


class Taskiq(PlainQueues):
    """asyncio, late acks, quorum queues, its own delay queue."""

    about = About(
        name="taskiq",
        distribution="taskiq-aio-pika",
        shape=Shape(2, 50, 50),
        tried=(Shape(1, 100, 100), Shape(2, 50, 50), Shape(2, 100, 100)),
        configuration=(
            "workers × --max-async-tasks as stated, uvloop",
            "--ack-type when_executed",
            "quorum queues; retries by SmartRetryMiddleware through its delay queue",
            "--no-parse: the task gets the JSON as it is",
        ),
    )

    def declare(self, wire: Wire, priorities: Sequence[str]) -> None:
        """As its broker declares them at the start."""
        quorum = {"x-queue-type": "quorum"}
        dead = {**quorum, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": DEAD}
        wire.declare_queue(DEAD, quorum)
        for priority in priorities:
            wire.declare_queue(self.queue(priority), dead)

    def queues(self, priorities: Sequence[str]) -> Sequence[str]:
        """Its delay queue and its dead letters too."""
        return [*(self.queue(priority) for priority in priorities), DEAD, DELAYED]

    def envelope(self, message: Message) -> Envelope:
        """A `TaskiqMessage` as JSON."""
        labels = {"queue_name": self.queue(message.priority)}
        body = {
            "task_id": message.id,
            "task_name": TASK,
            "labels": labels,
            "labels_types": None,
            "args": [message.body.decode()],
            "kwargs": {},
        }
        headers = {"task_id": message.id, "task_name": TASK, **labels}
        properties = {"headers": headers}
        return Envelope("", self.queue(message.priority), json.dumps(body).encode(), properties)

    def commands(self, job: Job) -> Sequence[Command]:
        """One `taskiq worker`, which starts its own processes."""
        return [
            Command(
                [
                    *(str(PEERS_BIN / "taskiq"), "worker", "benchmarks.peers.taskiq_worker:broker"),
                    *("--workers", str(job.shape.processes)),
                    *("--max-async-tasks", str(job.shape.at_once)),
                    *("--ack-type", "when_executed", "--no-parse", "--log-level", "WARNING"),
                ],
                peer_environment(job),
            )
        ]

    def for_concurrency(self, at_once: int, processes: int) -> Shape:
        """A task for each send."""
        return Shape(processes, at_once // processes, at_once // processes)
