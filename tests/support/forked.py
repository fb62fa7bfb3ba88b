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
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import IO, Final

from tests.support.processes import Finished, environment

SERVER: Final = Path(__file__).with_name("fork_server.py")

_one_request = Lock()


@dataclass
class Command:
    """A command that has begun."""

    pid: int
    _code: asyncio.Task[int]
    _out: IO[bytes]
    _err: IO[bytes]

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if not self.has_ended:
            os.kill(self.pid, number)

    @property
    def has_ended(self) -> bool:
        """Whether its exit code is known."""
        return self._code.done()

    async def ended(self) -> int:
        """Wait for its exit code, negative for a signal that ended it."""
        return await asyncio.shield(self._code)

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
    request = {
        "arguments": arguments,
        "environment": {**environment(), **env},
        "directory": str(Path.cwd()),
    }
    with ExitStack() as stack:
        given, out, err = (stack.enter_context(TemporaryFile()) for _ in range(3))
        given.write(stdin)
        given.seek(0)
        ours, its = socket.socketpair()
        with its:
            descriptors = [file.fileno() for file in (given, out, err, its)]
            await asyncio.to_thread(_ask, json.dumps(request), descriptors)
        reader, writer = await asyncio.open_connection(sock=ours)
        pid = await _number(reader)
        command = Command(pid, asyncio.create_task(_number(reader)), out, err)
        try:
            yield command
        finally:
            command.signal(signal.SIGKILL)
            await command.ended()
            writer.close()
            await writer.wait_closed()


def _written(file: IO[bytes]) -> bytes:
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0)


async def _number(reader: asyncio.StreamReader) -> int:
    return int(await reader.readline())


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
