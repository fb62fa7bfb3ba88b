"""One `tidings api` to be measured, and a key for it."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from benchmarks.contenders.base import PYTHON
from benchmarks.processes import Command, Processes
from benchmarks.stage import READY_WITHIN, Stage, wait_for
from tidings_local.ports import free_port

TIDINGS: Final = (PYTHON, "-c", "from tidings.cli.main import main; main()")


@dataclass(frozen=True, slots=True)
class Served:
    """A service that listens on this machine."""

    port: int
    processes: Processes


@contextmanager
def api(stage: Stage, environment: Mapping[str, str]) -> Iterator[Served]:
    """`tidings api`, without a limit that a benchmark reaches."""
    port = free_port()
    environment = {
        **environment,
        "TIDINGS_API_LISTEN": f"127.0.0.1:{port}",
        "TIDINGS_API_RATE_LIMIT": "1000000",
    }
    with listening(stage, Command([*TIDINGS, "api"], environment), port) as served:
        yield served


@contextmanager
def listening(stage: Stage, command: Command, port: int) -> Iterator[Served]:
    """A command, as soon as it listens on the port and is connected to what it needs."""
    with Processes([command], stage.logs / f"listening-on-{port}.log") as processes:
        wait_for(lambda: _answers(port), processes, READY_WITHIN, "listening")
        time.sleep(1)  # until RabbitMQ is connected
        yield Served(port, processes)


def key(environment: Mapping[str, str], *scopes: str) -> str:
    """A new API key of all tenants."""
    given = [word for scope in scopes for word in ("--scope", scope)]
    program = [*TIDINGS, "keys", "create", "--tenant", "*", *given, "--json"]
    made = subprocess.run(
        program, env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return str(json.loads(made.stdout)["secret"])


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
