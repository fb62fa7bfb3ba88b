"""Where every measurement takes place: servers made clean, queues filled, processes started and ended."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import relays
from benchmarks.amqp import Wire
from benchmarks.contenders.base import Contender, Job
from benchmarks.messages import Message
from benchmarks.processes import Processes
from benchmarks.servers import Servers

READY_WITHIN = 60.0
"""Seconds in which a contender must have taken its first message."""


class NotDone(Exception):
    """A contender did not do what it was given; what it would have measured means nothing."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One run's servers, and how much of everything is done on them."""

    servers: Servers
    scale: float
    logs: Path
    say: Callable[[str], None]
    sink: relays.Sink
    deadline: float
    """When, on the monotonic clock, nothing new is begun."""

    def sized(self, count: int, least: int = 2_000) -> int:
        """A number of messages at this scale; fewer than `least` show no rate."""
        return max(least, round(count * self.scale))

    def seconds(self, length: float, least: float = 3.0) -> float:
        """A length of time at this scale."""
        return max(least, length * min(1.0, self.scale))

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() > self.deadline

    def job(self, contender: Contender, **changes: object) -> Job:
        """The contender's usual job, with changes."""
        url = self.servers.url(contender.vhost)
        job = Job(url, self.servers.database_url, contender.about.shape)
        return replace(job, **changes)  # type: ignore[arg-type]  # checked by Job's own fields

    @contextmanager
    def prepared(self, contender: Contender, job: Job, *, clean: bool = True) -> Iterator[Wire]:
        """Its queues, empty, and an empty ledger; the queues are gone afterwards."""
        with Wire(job.amqp_url) as wire:
            for queue in contender.queues(job.priorities):
                wire.delete(queue)
            contender.declare(wire, job.priorities)
            if clean:
                self.servers.empty()
            try:
                yield wire
            finally:
                for queue in contender.queues(job.priorities):
                    wire.delete(queue)

    def running(self, contender: Contender, job: Job) -> Processes:
        """Its processes, for a `with`."""
        name = contender.about.name.replace(" ", "-").replace("+", "and")
        return Processes(contender.commands(job), self.logs / f"{name}.log")

    @contextmanager
    def relay(self, keep: Path | None = None) -> Iterator[int]:
        """The port of an SMTP sink; with `keep`, one that writes down when it accepted what."""
        sink = relays.own(keep) if keep else self.sink
        with relays.running(sink, self.logs / "relay.log") as port:
            yield port

    def recorded(self, contender: Contender) -> int:
        """Rows that it has written."""
        if contender.attempts is None:
            return 0
        return int(self.servers.sql(f"SELECT count(*) FROM {contender.attempts}")[0][0])


def preload(wire: Wire, contender: Contender, waiting: Iterable[Message]) -> int:
    """Fill its queues; how many messages there are."""
    return wire.publish(contender.envelope(message) for message in waiting)


def wait_for(
    condition: Callable[[], bool], processes: Processes, seconds: float, what: str
) -> None:
    """Return once it holds.

    Raises:
        Died: A process ended.
        NotDone: It did not come to hold in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        processes.check()
        if time.monotonic() > deadline:
            raise NotDone(f"{what} did not happen within {seconds:g} s")
        time.sleep(0.02)
