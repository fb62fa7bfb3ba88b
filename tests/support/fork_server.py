"""Runs `tidings …` in forks of a process that has imported its libraries: a command starts at once.

Each request on standard input, a socket, is a line of JSON with four descriptors: the command's own
standard input, output and error, and a socket on which its process id and its exit code are told.
A request is acknowledged before the next may come; where no more can come, the server ends.
"""

import gc
import json
import os
import signal
import socket
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NoReturn

READ_THE_ENVIRONMENT: Final = ("tidings.cli", "typer.rich_utils")
"""Modules that look at it when they are imported: every command imports its own."""

NEEDED_LATE: Final = (
    *("rich.json", "rich.markup", "rich.progress", "rich.table", "typer.rich_utils"),
    *("tidings.app", "tidings.outbox_relay"),
)
"""What commands import while they run."""
ROOT: Final = str(Path(__file__).parents[2])
"""Where the tests' own programs are found."""


def main() -> None:
    """Import, then fork for every request."""
    preload()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(fileno=os.dup(0)) as requests:
        while True:
            text, descriptors, _, _ = socket.recv_fds(requests, 1 << 20, 4)
            while text and not text.endswith(b"\n"):
                text += requests.recv(1 << 20)
            if not text:
                return
            if os.fork() == 0:
                requests.close()
                watch(json.loads(text), descriptors)
            for descriptor in descriptors:
                os.close(descriptor)
            requests.send(b"\n")


def preload() -> None:
    """Import what no command then has to."""
    for name in NEEDED_LATE:
        import_module(name)
    commands = import_module("tidings.cli.main").Root.listed
    for command in commands:
        import_module(f"tidings.cli.{command.place.split(':')[0]}")
    for name in list(sys.modules):
        if name.startswith(READ_THE_ENVIRONMENT):
            del sys.modules[name]
    gc.freeze()


def watch(request: dict[str, Any], descriptors: list[int]) -> NoReturn:
    """Fork the command; tell who it is and how it ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *streams, reports = descriptors
    pid = os.fork()
    if pid == 0:
        os.close(reports)
        become(request, streams)
    for stream in streams:
        os.close(stream)
    os.write(reports, f"{pid}\n".encode())
    _, status = os.waitpid(pid, 0)
    os.write(reports, f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def become(request: dict[str, Any], streams: list[int]) -> NoReturn:
    """Be the command: what it raises ends this process as it would end one of its own."""
    for place, stream in enumerate(streams):
        os.dup2(stream, place)
        os.close(stream)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["directory"])
    # As in a terminal: a shell starts what runs in the background with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["tidings", *request["arguments"]]
    if not request["module"].startswith("tidings."):
        sys.path.insert(0, ROOT)
    sys.exit(import_module(request["module"]).main())


if __name__ == "__main__":
    main()
