"""W10, accept: notifications over HTTP, singly and in batches, and the same written naively."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from typing import Final
from uuid import uuid4

from benchmarks.contenders.base import PYTHON, ROOT, Contender
from benchmarks.contenders.tidings import Tidings
from benchmarks.processes import Command, Processes
from benchmarks.results import Measurement
from benchmarks.stage import READY_WITHIN, NotDone, Stage, wait_for
from benchmarks.workloads.base import Column, Workload

SECONDS: Final = 20.0
WARM_UP: Final = 3.0
CONNECTIONS: Final = 64
IN_A_BATCH: Final = 500
AT_ONCE: Final = 4
"""Batches under way."""
SCRIPT: Final = ROOT / "benchmarks" / "load" / "accept.lua"
TIDINGS: Final = (PYTHON, "-c", "from tidings.cli.main import main; main()")
MAIL: Final = {
    "channel": "email",
    "recipient": "ada@example.com",
    "subject": "Your order has shipped",
    "body": "It arrives tomorrow, between nine and eleven.",
    "category": "receipt",
    "user_id": "user-4711",
}
NAIVE: Final = "(the same, written naively)"
BATCH: Final = {"notifications": [MAIL] * IN_A_BATCH}
SINGLE_TARGET: Final = "/v1/notifications"


def measure(stage: Stage, contender: Contender) -> Iterator[Measurement]:
    """Singly and in batches; then the naive service, which knows no batches."""
    assert isinstance(contender, Tidings)
    if shutil.which("wrk") is None:
        raise NotDone("wrk is not installed (Debian: apt install wrk)")
    job = stage.job(contender)
    environment = {
        **contender.environment(job),
        "BENCH_AMQP_URL": job.amqp_url,
        "BENCH_DATABASE_URL": job.database_url,
        "TIDINGS_API_RATE_LIMIT": "1000000",
    }
    with stage.prepared(contender, job):
        key = _key(environment)
        port = _free_port()
        environment["TIDINGS_API_LISTEN"] = f"127.0.0.1:{port}"
        api = Command([*TIDINGS, "api"], environment)
        with Processes([api], stage.logs / "api.log") as processes:
            _wait(processes, port)
            single = _load(stage, processes, port, SINGLE_TARGET, MAIL, CONNECTIONS, key)
            batch = _load(stage, processes, port, f"{SINGLE_TARGET}/batch", BATCH, AT_ONCE, key)
        yield Measurement(
            "W10",
            contender.about.name,
            {
                "rate": single["rate"],
                "p99_ms": single["p99_ms"],
                "cpu_us": single["cpu_us"],
                "batch_rate": batch["rate"] * IN_A_BATCH,
                "batch_cpu_us": batch["cpu_us"] / IN_A_BATCH,
            },
        )
        port = _free_port()
        naive = Command([PYTHON, "-m", "benchmarks.peers.naive_accept", str(port)], environment)
        with Processes([naive], stage.logs / "naive-accept.log") as processes:
            _wait(processes, port)
            found = _load(stage, processes, port, SINGLE_TARGET, MAIL, CONNECTIONS)
        yield Measurement("W10", contender.about.name, found, NAIVE)


def _load(
    stage: Stage,
    processes: Processes,
    port: int,
    target: str,
    body: Mapping[str, object],
    connections: int,
    key: str | None = None,
) -> dict[str, float]:
    """Requests/s, latency and CPU while wrk, in a process of its own, keeps its connections busy."""
    for seconds in (WARM_UP, stage.seconds(SECONDS)):
        before = processes.cpu_seconds()
        done = subprocess.run(
            [
                "wrk",
                "-t1",
                f"-c{connections}",
                f"-d{seconds:.0f}s",
                "--timeout",
                "30s",
                "--latency",
                "-s",
                str(SCRIPT),
                f"http://127.0.0.1:{port}",
            ],
            env={
                "PATH": os.environ["PATH"],
                "BODY": json.dumps(body),
                "TARGET": target,
                "RUN": uuid4().hex,
                **({"KEY": key} if key else {}),
            },
            capture_output=True,
            text=True,
            check=True,
        )
        found = json.loads(done.stdout.splitlines()[-1])
        if found["errors"] or not found["requests"]:
            raise NotDone(f"{found['errors']} of {found['requests']} requests failed")
        cpu = processes.cpu_seconds() - before
    return {
        "rate": found["requests"] / found["seconds"],
        "p99_ms": found["p99_ms"],
        "cpu_us": cpu / found["requests"] * 1e6,
    }


def _key(environment: Mapping[str, str]) -> str:
    program = [*TIDINGS, "keys", "create", "--tenant", "*", "--scope", "send", "--json"]
    made = subprocess.run(
        program, env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return str(json.loads(made.stdout)["secret"])


def _wait(processes: Processes, port: int) -> None:
    def answers() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
        return True

    wait_for(answers, processes, READY_WITHIN, "listening")
    time.sleep(1)  # until RabbitMQ is connected


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


W10: Final = Workload(
    name="W10",
    title="Accept",
    what="Notifications over HTTP with an API key and an `Idempotency-Key` each, stored, published and confirmed before "
    "the 202, by one `tidings api`: singly on 64 connections, and in batches of 500. Beside it the usual service: FastAPI, "
    "a pydantic body, one INSERT and one confirmed publish a request, without keys of its callers.",
    columns=(
        Column("rate", "requests/s singly"),
        Column("p99_ms", "p99, ms", ",.1f"),
        Column("cpu_us", "CPU µs/request"),
        Column("batch_rate", "notifications/s in batches"),
        Column("batch_cpu_us", "CPU µs/notification"),
    ),
    measure=measure,
    repeats=2,
    only=frozenset({"Tidings"}),
)
