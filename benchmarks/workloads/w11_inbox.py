"""W11, inbox: ten thousand live connections in one process of the API: their memory, how soon messages come, and how soon all come back."""

import json
import resource
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Self
from uuid import UUID

from benchmarks import serving
from benchmarks.amqp import Envelope, Wire
from benchmarks.contenders.base import PYTHON, ROOT, Contender
from benchmarks.contenders.tidings import Tidings
from benchmarks.pace import publish_evenly
from benchmarks.processes import Command, Processes
from benchmarks.results import Measurement
from benchmarks.serving import TIDINGS, Served
from benchmarks.stage import READY_WITHIN, NotDone, Stage, wait_for
from benchmarks.workloads.base import Column, Workload
from tidings_events.routing import EXCHANGE

CONNECTIONS: Final = 10_000
RATE: Final = 1_000.0
SECONDS: Final = 20.0
WARM_UP: Final = 3.0
FILES: Final = 1_000
"""Open files beside the connections."""
SECRET: Final = "a secret of the benchmark, of 32 bytes at least"  # noqa: S105  # it guards nothing
EMPTY: Final = "TRUNCATE inbox_users, inbox_messages, inbox_tickets"
TEXT: Final = (
    "It arrives tomorrow, between nine and eleven. You can change the day until the evening before."
)


class Clients:
    """The program that holds the connections. Use it with `with`.

    Args:
        served: The API.
        count: Connections.
    """

    def __init__(self, served: Served, count: int) -> None:
        self._arguments = [str(served.port), str(count)]
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [PYTHON, "-m", "benchmarks.load.inbox_clients", *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": str(ROOT), "BENCH_JWT_SECRET": SECRET},
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def do(self, what: str) -> dict[str, Any]:
        """Let it do something; what came of it.

        Raises:
            NotDone: It had an error.
        """
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise NotDone("the clients' program has ended")
        found: dict[str, Any] = json.loads(line)
        if found.get("errors"):
            raise NotDone(f"{what}: {found['errors']} errors, the first: {found['first_error']}")
        return found


def measure(stage: Stage, contender: Contender) -> Iterator[Measurement]:
    """Open all connections, let messages come, and let all come back at once."""
    assert isinstance(contender, Tidings)
    count = stage.sized(CONNECTIONS, least=500)
    _check_open_files(count + FILES)
    job = stage.job(contender)
    environment = {
        **contender.environment(job),
        "TIDINGS_API_LIVE_CONNECTIONS": str(count + 100),
        "TIDINGS_API_JWT_SECRET": SECRET,
        "TIDINGS_API_JWT_ISSUER": "https://login.example.com",
        "TIDINGS_API_JWT_AUDIENCE": "tidings",
    }
    with stage.prepared(contender, job) as wire:
        stage.servers.sql(EMPTY)
        with serving.api(stage, environment) as served, Clients(served, count) as clients:
            before = served.processes.memory()
            opened = clients.do("open")
            memory = served.processes.memory()
            with _worker(stage, environment) as worker:
                seconds = stage.seconds(SECONDS)
                cpu = served.processes.cpu_seconds()
                live = _messages(wire, clients, worker, count, seconds)
                cpu = (served.processes.cpu_seconds() - cpu) / seconds
            back = clients.do("reconnect")
            total = served.processes.peak_memory()
    values = {
        "memory_mb_all": total,
        "memory_mb_open": memory,
        "growth_mb": memory - before,
        "kb_each": (memory - before) * 1024 / count,
        "open_s": opened["seconds"],
        "p50_ms": live["p50_ms"],
        "p99_ms": live["p99_ms"],
        "longest_ms": live["longest_ms"],
        "cpu": cpu,
        "back_s": back["seconds"],
    }
    yield Measurement("W11", contender.about.name, values)


def _check_open_files(needed: int) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise NotDone(
            f"{needed} files must be open in a process, and {hard} may be: raise the hard limit (`ulimit -Hn`)"
        )


@contextmanager
def _worker(stage: Stage, environment: dict[str, str]) -> Iterator[Processes]:
    command = Command([*TIDINGS, "worker", "--channel", "in_app"], environment)
    with Processes([command], stage.logs / "in-app-worker.log") as processes:
        yield processes


def _messages(
    wire: Wire, clients: Clients, worker: Processes, count: int, seconds: float
) -> dict[str, Any]:
    """Publish evenly to all users in turn, and wait until all has come."""
    warm_up = _published(int(WARM_UP * RATE), count, 0)
    wire.send(warm_up[:1])
    wait_for(lambda: clients.do("received")["messages"] >= 1, worker, READY_WITHIN, "delivering")
    publish_evenly(wire, warm_up[1:], RATE)
    wait_for(
        lambda: clients.do("received")["messages"] >= len(warm_up),
        worker,
        READY_WITHIN,
        "warming up",
    )
    clients.do("count")
    expected = _published(int(seconds * RATE), count, len(warm_up))
    publish_evenly(wire, expected, RATE)
    wait_for(
        lambda: clients.do("received")["messages"] >= len(expected),
        worker,
        READY_WITHIN,
        f"receiving {len(expected)} messages",
    )
    found = clients.do("received")
    if found["messages"] != len(expected):
        raise NotDone(f"{found['messages']} messages came of {len(expected)}")
    return found


def _published(count: int, users: int, first: int) -> list[Envelope]:
    return [_envelope(number, f"user-{number % users}") for number in range(first, first + count)]


def _envelope(number: int, user: str) -> Envelope:
    moment = time.time_ns() // 1_000_000
    id_ = str(UUID(int=(moment & (1 << 48) - 1) << 80 | 7 << 76 | 0b10 << 62 | number))
    body = {
        "id": id_,
        "version": 1,
        "channel": "in_app",
        "recipient": user,
        "title": f"Your order {number} is on its way",
        "body": TEXT,
        "category": "receipt",
        "action_url": f"/orders/{number}",
    }
    properties = {"content_type": "application/json", "message_id": id_, "correlation_id": id_}
    return Envelope(EXCHANGE, "in_app.normal", json.dumps(body).encode(), properties)


W11: Final = Workload(
    name="W11",
    title="Inbox",
    what="10,000 users with a live connection each to one `tidings api`: its memory; from the commit of a message to its "
    "arrival, at 1,000 messages a second through one `tidings worker`; and until all have what they missed, when all drop "
    "their connections and connect at the same moment.",
    columns=(
        Column("growth_mb", "memory of the connections, MB"),
        Column("memory_mb_all", "peak memory in all, MB"),
        Column("p50_ms", "p50, ms", ",.1f"),
        Column("p99_ms", "p99, ms", ",.1f"),
        Column("cpu", "cores of the API", ",.2f"),
        Column("back_s", "all back, s", ",.1f"),
    ),
    measure=measure,
    repeats=2,
    only=frozenset({"Tidings"}),
)
