"""The command line in processes of its own that import nothing: forks of one that has (fork_server)."""

import asyncio
import atexit
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import IO, Final

from tests.support.commands import Finished, environment

SERVER: Final = Path(__file__).with_name("fork_server.py")
COMMANDS: Final = "tidings.cli.main"
"""The module of the command line."""

_one_request = Lock()


class Process:
    """A command in a fork, as asyncio has those that it has started."""

    def __init__(self, pid: int, code: asyncio.Task[int]) -> None:
        self.pid = pid
        self._code = code

    @property
    def returncode(self) -> int | None:
        """Its exit code, negative for a signal that ended it; None while it runs."""
        return self._code.result() if self._code.done() else None

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self.returncode is None:
            with suppress(ProcessLookupError):  # we are just being told
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        """Wait until it has ended; its exit code."""
        return await asyncio.shield(self._code)


@dataclass
class Command:
    """A command that has begun."""

    process: Process
    _out: IO[bytes]
    _err: IO[bytes]

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        self.process.send_signal(number)

    @property
    def has_ended(self) -> bool:
        """Whether its exit code is known."""
        return self.process.returncode is not None

    async def ended(self) -> int:
        """Wait for its exit code, negative for a signal that ended it."""
        return await self.process.wait()

    @property
    def out(self) -> bytes:
        """What it has written to standard output so far."""
        return _written(self._out)

    @property
    def err(self) -> bytes:
        """What it has written to standard error so far."""
        return _written(self._err)


async def tidings(
    *arguments: str, env: Mapping[str, str], within: float = 60, stdin: bytes = b""
) -> Finished:
    """Run a command to its end."""
    async with begun(*arguments, env=env, stdin=stdin) as command:
        try:
            async with asyncio.timeout(within):
                code = await command.ended()
        except TimeoutError:
            raise AssertionError(
                f"tidings {arguments} did not end: {command.out!r} {command.err!r}"
            ) from None
        return Finished(code, command.out.decode(), command.err.decode())


@asynccontextmanager
async def begun(
    *arguments: str, env: Mapping[str, str], stdin: bytes = b""
) -> AsyncIterator[Command]:
    """A command while it runs; killed at the end where it still does."""
    with ExitStack() as stack:
        given, out, err = (stack.enter_context(TemporaryFile()) for _ in range(3))
        given.write(stdin)
        given.seek(0)
        process = await start(
            *arguments,
            env={**environment(), **env},
            stdin=given.fileno(),
            stdout=out.fileno(),
            stderr=err.fileno(),
        )
        try:
            yield Command(process, out, err)
        finally:
            process.kill()
            await process.wait()


async def start(
    *arguments: str,
    env: Mapping[str, str],
    stdout: int,
    stderr: int,
    stdin: int | None = None,
    module: str = COMMANDS,
) -> Process:
    """Start a command, or another program.

    Args:
        env: All of its environment.
        stdout: A descriptor, as the others.
        stdin: None: there is nothing to be read.
        module: Has the program's `main`.
    """
    streams = [_nothing() if stdin is None else stdin, stdout, stderr]
    request = {
        "arguments": arguments,
        "environment": dict(env),
        "directory": str(Path.cwd()),
        "module": module,
    }
    ours, its = socket.socketpair()
    with its:
        await asyncio.to_thread(_ask, json.dumps(request), [*streams, its.fileno()])
    reader, writer = await asyncio.open_connection(sock=ours)
    pid = int(await reader.readline())
    return Process(pid, asyncio.create_task(_code(reader, writer)))


@cache
def _nothing() -> int:
    return os.open(os.devnull, os.O_RDONLY)


async def _code(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    try:
        return int(await reader.readline())
    finally:
        writer.close()
        await writer.wait_closed()


def _written(file: IO[bytes]) -> bytes:
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0)


def _ask(request: str, descriptors: list[int]) -> None:
    """Have the server fork; it is asked one thing at a time, so that no two requests get mixed."""
    with _one_request:
        server = _server()
        socket.send_fds(server, [request.encode() + b"\n"], descriptors)
        if not server.recv(1):
            raise AssertionError("the fork server has ended: see its words on standard error")


@cache
def _server() -> socket.socket:
    """The server of this process, which ends with it."""
    ours, its = socket.socketpair()
    with its:
        process = subprocess.Popen(
            [sys.executable, "-P", SERVER],
            stdin=its,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            env=environment(),
        )
    atexit.register(_end, ours, process)
    return ours


def _end(server: socket.socket, process: "subprocess.Popen[bytes]") -> None:
    server.close()
    process.wait(10)
