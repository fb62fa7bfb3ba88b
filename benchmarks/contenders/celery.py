"""Celery, as its documentation advises for tasks that must not be lost."""

import json
from collections.abc import Sequence

from benchmarks.amqp import Envelope, Wire
from benchmarks.contenders.base import PEERS_BIN, About, Job, PlainQueues, Shape, peer_environment
from benchmarks.messages import Message
from benchmarks.processes import Command

TASK = "deliver"
MOST_CHILDREN = 16
"""Each is a process of 60 MB."""


class Celery(PlainQueues):
    """Processes of threads or of children, late acks, quorum queues."""

    about = About(
        name="Celery",
        distribution="celery",
        shape=Shape(2, 20),
        tried=(Shape(1, 2), Shape(1, 4), Shape(1, 8), Shape(1, 16), Shape(2, 20)),
        configuration=(
            f"prefork up to {MOST_CHILDREN} children, threads beyond",
            "acks_late, reject_on_worker_lost, confirm_publish",
            "quorum queues (per-consumer QoS), prefetch multiplier 8",
            "no results, no events, no remote control, gossip or mingle",
        ),
    )

    def queues(self, priorities: Sequence[str]) -> Sequence[str]:
        """Its native delayed delivery has a quorum queue for every bit of a delay."""
        delays = [f"celery_delayed_{bit}" for bit in range(28)]
        return [*(self.queue(priority) for priority in priorities), *delays]

    def declare(self, wire: Wire, priorities: Sequence[str]) -> None:
        """The delays are its own affair: it declares them when it starts."""
        for priority in priorities:
            wire.declare_queue(self.queue(priority), self.arguments)

    def envelope(self, message: Message) -> Envelope:
        """Celery's message protocol 2, the notification as the task's one argument."""
        embed = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
        headers = {
            "lang": "py",
            "task": TASK,
            "id": message.id,
            "root_id": message.id,
            "parent_id": None,
            "group": None,
            "retries": 0,
            "eta": None,
            "expires": None,
            "ignore_result": True,
            "argsrepr": "",
            "kwargsrepr": "{}",
            "origin": "bench",
        }
        body = json.dumps([[message.body.decode()], {}, embed]).encode()
        properties = {
            "content_type": "application/json",
            "content_encoding": "utf-8",
            "correlation_id": message.id,
            "headers": headers,
        }
        return Envelope("", self.queue(message.priority), body, properties)

    def commands(self, job: Job) -> Sequence[Command]:
        """`celery worker`, once for each process."""
        pool = "threads" if job.shape.at_once > MOST_CHILDREN else "prefork"
        return [
            Command(
                [
                    *(str(PEERS_BIN / "celery"), "-A", "benchmarks.peers.celery_worker", "worker"),
                    *("--pool", pool, "--concurrency", str(job.shape.at_once)),
                    *("--loglevel", "WARNING", "--hostname", f"bench{number}@localhost"),
                    *("--without-gossip", "--without-mingle", "--without-heartbeat"),
                    *("--queues", ",".join(self.queue(priority) for priority in job.priorities)),
                ],
                peer_environment(job),
            )
            for number in range(job.shape.processes)
        ]

    def for_concurrency(self, at_once: int, processes: int) -> Shape:
        """Threads, mostly: a child process for each send would need gigabytes."""
        return Shape(processes, at_once // processes)
