"""SMTP sinks: postfix's `smtp-sink` where speed is all, one of our own where the moment matters."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.processes import Command, Died, Processes
from tidings_local.ports import LOOPBACK, free_port

BACKLOG: Final = "1000"
STARTS_WITHIN: Final = 10.0


@dataclass(frozen=True, slots=True)
class Sink:
    """A program that takes every mail."""

    name: str
    command: tuple[str, ...]
    """With `{port}` where the port goes."""
    libraries: Path | None = None


def find(folder: Path) -> Sink:
    """Postfix's sink, installed or unpacked into `folder`; our own where neither can be had."""
    if (installed := shutil.which("smtp-sink", path=f"{os.defpath}:/usr/sbin")) is not None:
        return _postfix(Path(installed), None)
    unpacked = folder / "usr" / "sbin" / "smtp-sink"
    if not unpacked.exists():
        _unpack(folder)
    if unpacked.exists():
        sink = _postfix(unpacked, folder / "usr" / "lib" / "postfix")
        if _starts(sink, folder):
            return sink
    return own(None)


def own(keep: Path | None) -> Sink:
    """Our own sink; where told to, it writes down when it accepted what."""
    kept = (str(keep),) if keep else ()
    return Sink(
        "the benchmark's own sink", (sys.executable, "-m", "benchmarks.own_sink", "{port}", *kept)
    )


@contextmanager
def running(sink: Sink, log: Path) -> Iterator[int]:
    """The sink's port, while it runs."""
    port = free_port()
    environment = {"PYTHONPATH": str(Path(__file__).parents[1])}
    if sink.libraries is not None:
        environment["LD_LIBRARY_PATH"] = str(sink.libraries)
    arguments = [argument.format(port=port) for argument in sink.command]
    with Processes([Command(arguments, environment)], log) as processes:
        deadline = time.monotonic() + STARTS_WITHIN
        while not _listens(port):
            processes.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{sink.name} does not listen; see {log}")
            time.sleep(0.02)
        yield port


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


def _postfix(program: Path, libraries: Path | None) -> Sink:
    user = ("-u", "nobody") if os.geteuid() == 0 else ()
    return Sink("smtp-sink", (str(program), *user, f"{LOOPBACK}:{{port}}", BACKLOG), libraries)


def _starts(sink: Sink, folder: Path) -> bool:
    try:
        with running(sink, folder / "smtp-sink.log"):
            return True
    except (Died, OSError):  # a library that it needs is missing: there is another sink
        return False


def _unpack(folder: Path) -> None:
    """Debian's package, unpacked and not installed: no mail server should start here."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["apt-get", "-qq", "download", "postfix"], cwd=folder, check=False, capture_output=True
    )
    for package in folder.glob("postfix_*.deb"):
        subprocess.run(["dpkg-deb", "-x", package.name, "."], cwd=folder, check=False)
