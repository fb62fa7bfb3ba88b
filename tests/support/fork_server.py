"""Runs `tidings …` in forks of a process that has imported its libraries: a command starts at once.

Each request on standard input, a socket, is a line of JSON with four descriptors: the command's own
standard input, output and error, and a socket on which its process id and its exit code are told.
A request is acknowledged before the next may come; where no more can come, the server ends.
"""

import atexit
import gc
import json
import os
import selectors
import signal
import socket
import sys
import threading
from contextlib import suppress
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
    """Import, then fork for every request, and tell of each how it ends."""
    preload()
    reports: dict[int, socket.socket] = {}
    with socket.socket(fileno=os.dup(0)) as requests, selectors.DefaultSelector() as waiting:
        waiting.register(requests, selectors.EVENT_READ)
        while True:
            for ready, _ in waiting.select():
                if ready.fileobj is requests:
                    if (pid := begin(requests, reports)) is None:
                        return
                    waiting.register(os.pidfd_open(pid), selectors.EVENT_READ, pid)
                else:
                    waiting.unregister(ready.fileobj)
                    os.close(ready.fd)
                    tell(ready.data, reports.pop(ready.data))


def preload() -> None:
    """Import what no command then has to."""
    for name in NEEDED_LATE:
        import_module(name)
    sys.path.append(ROOT)
    import_module("tests.support.array_types").make_known()
    import_module("tests.support.no_authorities").trust_none()
    sys.path.remove(ROOT)
    commands = import_module("tidings.cli.main").Root.listed
    for command in commands:
        import_module(f"tidings.cli.{command.place.split(':')[0]}")
    for name in list(sys.modules):
        if name.startswith(READ_THE_ENVIRONMENT):
            del sys.modules[name]
    gc.freeze()


def begin(requests: socket.socket, reports: dict[int, socket.socket]) -> int | None:
    """Fork the next command and tell its process id; None if no more can come."""
    text, descriptors, _, _ = socket.recv_fds(requests, 1 << 20, 4)
    while text and not text.endswith(b"\n"):
        text += requests.recv(1 << 20)
    if not text:
        return None
    *streams, reporting = descriptors
    report = socket.socket(fileno=reporting)
    pid = os.fork()
    if pid == 0:
        for each in (requests, report, *reports.values()):
            each.detach()  # `become` closes it
        become(json.loads(text), streams)
    for stream in streams:
        os.close(stream)
    reports[pid] = report
    send(report, pid)
    requests.send(b"\n")
    return pid


def tell(pid: int, report: socket.socket) -> None:
    """Tell how a command has ended."""
    _, status = os.waitpid(pid, 0)
    with report:
        send(report, os.waitstatus_to_exitcode(status))


def send(report: socket.socket, number: int) -> None:
    """Tell who asked, who may have gone."""
    with suppress(BrokenPipeError, ConnectionResetError):
        report.send(f"{number}\n".encode())


def become(request: dict[str, Any], streams: list[int]) -> NoReturn:
    """Be the command: what it raises ends this process as it would end one of its own."""
    for place, stream in enumerate(streams):
        os.dup2(stream, place)
    os.closerange(len(streams), os.sysconf("SC_OPEN_MAX"))
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["directory"])
    # As in a terminal: a shell starts what runs in the background with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["tidings", *request["arguments"]]
    if not request["module"].startswith("tidings."):
        sys.path.insert(0, ROOT)
    try:
        sys.exit(import_module(request["module"]).main())
    except SystemExit as ending:
        leave(ending.code)
        raise


def leave(code: object) -> None:
    """End as the interpreter does, but for taking its memory apart, which a fork has to copy first: 50 ms of CPU."""
    if not isinstance(code, int | None):
        return  # it is a message: the interpreter prints it
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads
    atexit._run_exitfuncs()
    gc.collect()
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except (OSError, ValueError):
        return  # the interpreter says so
    os._exit((code or 0) & 0xFF)


if __name__ == "__main__":
    main()
