"""W10, accept: notifications over HTTP, singly and in batches, and the same written naively."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from typing import Final
from uuid import uuid4

from benchmarks import serving
from benchmarks.contenders.base import PYTHON, ROOT, Contender
from benchmarks.contenders.tidings import Tidings
from benchmarks.processes import Command
from benchmarks.results import Measurement
from benchmarks.serving import Served
from benchmarks.stage import NotDone, Stage
from benchmarks.workloads.base import Column, Workload
from tidings_local.ports import free_port

SECONDS: Final = 20.0
WARM_UP: Final = 3.0
CONNECTIONS: Final = 64
IN_A_BATCH: Final = 500
AT_ONCE: Final = 4
"""Batches under way."""
SCRIPT: Final = ROOT / "benchmarks" / "load" / "accept.lua"
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
    }
    with stage.prepared(contender, job):
        key = serving.key(environment, "send")
        with serving.api(stage, environment) as served:
            single = _load(stage, served, SINGLE_TARGET, MAIL, CONNECTIONS, key)
            batch = _load(stage, served, f"{SINGLE_TARGET}/batch", BATCH, AT_ONCE, key)
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
        port = free_port()
        naive = Command([PYTHON, "-m", "benchmarks.peers.naive_accept", str(port)], environment)
        with serving.listening(stage, naive, port) as served:
            found = _load(stage, served, SINGLE_TARGET, MAIL, CONNECTIONS)
        yield Measurement("W10", contender.about.name, found, NAIVE)


def _load(
    stage: Stage,
    served: Served,
    target: str,
    body: Mapping[str, object],
    connections: int,
    key: str | None = None,
) -> dict[str, float]:
    """Requests/s, latency and CPU while wrk, in a process of its own, keeps its connections busy."""
    for seconds in (WARM_UP, stage.seconds(SECONDS)):
        before = served.processes.cpu_seconds()
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
                f"http://127.0.0.1:{served.port}",
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
        cpu = served.processes.cpu_seconds() - before
    return {
        "rate": found["requests"] / found["seconds"],
        "p99_ms": found["p99_ms"],
        "cpu_us": cpu / found["requests"] * 1e6,
    }


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
