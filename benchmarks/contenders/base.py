"""What the harness has to know of a contender: how to start it, feed it and read what it recorded."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from benchmarks.amqp import Envelope, Wire
from benchmarks.messages import Message
from benchmarks.processes import Command

ROOT: Final = Path(__file__).parents[2]
PYTHON: Final = sys.executable
PEERS_PYTHON: Final = str(ROOT / ".venv-bench" / "bin" / "python")
PEERS_BIN: Final = ROOT / ".venv-bench" / "bin"
TEMPLATES: Final = ROOT / "benchmarks" / "templates"
RETRY_AFTER: Final = 5
"""Seconds after which what failed once is due again."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How many of what."""

    processes: int = 1
    at_once: int = 1
    """Threads, tasks or child processes in each."""
    prefetch: int = 0
    """Unacknowledged messages each process holds; 0 where `at_once` decides it."""

    def __str__(self) -> str:
        prefetch = f", prefetch {self.prefetch}" if self.prefetch else ""
        return f"{self.processes} × {self.at_once}{prefetch}"


@dataclass(frozen=True, slots=True)
class Job:
    """One thing to be done by a contender."""

    amqp_url: str
    database_url: str
    shape: Shape
    priorities: tuple[str, ...] = ("normal",)
    smtp_port: int = 0
    """Where to send mail; nothing is sent where 0."""
    slowness: float = 0.0
    """Seconds each send takes instead."""


@dataclass(frozen=True, slots=True)
class About:
    """What the report says of a contender."""

    name: str
    distribution: str
    """Whose version is stated."""
    shape: Shape
    """Its best on two cores in W1."""
    tried: tuple[Shape, ...]
    configuration: tuple[str, ...]
    """One clause each."""
    peer: bool = True
    """Whether it is a product that people would use instead."""
    cannot: Mapping[str, str] = field(default_factory=dict)
    """Workload → why it takes no part."""


class Contender(Protocol):
    """One file in this folder each."""

    @property
    def about(self) -> About:
        """What the report says of it."""
        ...

    @property
    def vhost(self) -> str:
        """The virtual host where its queues are."""
        ...

    @property
    def attempts(self) -> str | None:
        """The table where it records attempts; None where it records nothing."""
        ...

    def declare(self, wire: Wire, priorities: Sequence[str]) -> None:
        """Make its queues as it would itself."""
        ...

    def queue(self, priority: str) -> str:
        """Where messages wait for it."""
        ...

    def queues(self, priorities: Sequence[str]) -> Sequence[str]:
        """Everything to be deleted afterwards."""
        ...

    def envelope(self, message: Message) -> Envelope:
        """A notification in its own protocol."""
        ...

    def commands(self, job: Job) -> Sequence[Command]:
        """What to start."""
        ...

    def for_concurrency(self, at_once: int, processes: int) -> Shape:
        """The shape that has so many sends under way in all of these processes together."""
        ...


def peer_environment(job: Job) -> dict[str, str]:
    """What the peers' programs read."""
    return {
        "PYTHONPATH": f"{ROOT}:{ROOT / 'schemas'}",
        "BENCH_AMQP_URL": job.amqp_url,
        "BENCH_DATABASE_URL": job.database_url,
        "BENCH_QUEUES": " ".join(f"bench.{priority}" for priority in job.priorities),
        "BENCH_AT_ONCE": str(job.shape.at_once),
        "BENCH_PREFETCH": str(job.shape.prefetch or job.shape.at_once),
        "BENCH_SMTP_PORT": str(job.smtp_port),
        "BENCH_SLOWNESS": str(job.slowness),
        "BENCH_RETRY_AFTER": str(RETRY_AFTER),
        "BENCH_TEMPLATES": str(TEMPLATES),
    }


class PlainQueues:
    """A quorum queue for each priority, published to directly."""

    vhost = "/"
    attempts: str | None = "peer_attempts"
    arguments: Mapping[str, object] = {"x-queue-type": "quorum"}

    def declare(self, wire: Wire, priorities: Sequence[str]) -> None:
        """As the contender's own program declares them."""
        for queue in self.queues(priorities):
            wire.declare_queue(queue, self.arguments)

    def queue(self, priority: str) -> str:
        """`bench.normal`."""
        return f"bench.{priority}"

    def queues(self, priorities: Sequence[str]) -> Sequence[str]:
        """Nothing but these."""
        return [self.queue(priority) for priority in priorities]
