"""The processes that are killed: `tidings worker`, `archive`, `scheduler`, `api`, as operators start them."""

import asyncio
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import time
from typing import Final

from tests.chaos.failpoints import VARIABLE
from tests.chaos.memory import memory, stated
from tests.support import forked
from tests.support.processes import TIDINGS, environment

from tidings_local.ports import free_port

ROOT: Final = str(Path(__file__).parents[2])


def program(mutant: str | None, *, failpoints: bool = False) -> list[str]:
    """`tidings`, or `tidings` with a protection taken out, or a worker that ends itself."""
    if mutant is None and not failpoints:
        return [str(TIDINGS)]
    module = "failpoints" if mutant is None else "mutants"
    code = (
        f"import sys; sys.path.insert(0, {ROOT!r}); from tests.chaos.{module} import main; main()"
    )
    return [sys.executable, "-c", code, *([] if mutant is None else [mutant])]


def _limited(address_space: int | None) -> list[str]:
    return [] if address_space is None else ["prlimit", f"--as={address_space}"]


class Role:
    """One process, which may be started again after it ended.

    Args:
        name: What its log file is called.
        arguments: As after `tidings`.
        mutant: Start it with a protection taken out: see mutants.py.
        forks: Start it as a fork of what has loaded it already, which takes a second of CPU less:
            where nobody looks at its memory.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        env: Mapping[str, str],
        folder: Path,
        *,
        mutant: str | None = None,
        forks: bool = False,
    ) -> None:
        self.name = name
        self.env = dict(env)
        self.log = folder / f"{name}.log"
        self._arguments = arguments
        self._mutant = mutant
        self._forks = forks and mutant is None
        self._process: asyncio.subprocess.Process | forked.Process | None = None
        self.port = 0
        self.api_port = 0
        """Where it serves the API, if it does: another port each time, as somebody may have taken the last one."""
        self.stderr: int | None = None
        """Where it logs to instead of its file."""
        self.address_space: int | None = None
        """Bytes that it may take."""
        self.pids: list[int] = []
        self.peak = 0
        """Bytes that any process of it took at most, as far as was looked."""

    @property
    def running(self) -> bool:
        """Whether it is alive."""
        return self._process is not None and self._process.returncode is None

    @property
    def allowed(self) -> int:
        """Bytes that it may take at most, by what is stated."""
        return stated(self.env)

    @property
    def pid(self) -> int:
        """Of the last process started."""
        return self.pids[-1]

    async def start(self, **extra: str) -> None:
        """Start it; returns at once."""
        assert not self.running
        self.port, self.api_port = free_port(), free_port()
        env = {
            **environment(),
            **self.env,
            **extra,
            "TIDINGS_HTTP_PORT": str(self.port),
            "TIDINGS_API_LISTEN": f"127.0.0.1:{self.api_port}",
        }
        with self.log.open("ab") as sink:
            errors = sink.fileno() if self.stderr is None else self.stderr
            start = self._forked if self._forks else self._started
            self._process = await start(env, sink.fileno(), errors)
        self.pids.append(self._process.pid)

    async def _started(
        self, env: Mapping[str, str], out: int, errors: int
    ) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *_limited(self.address_space),
            *program(self._mutant, failpoints=VARIABLE in env),
            *self._arguments,
            env=env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=errors,
        )

    async def _forked(self, env: Mapping[str, str], out: int, errors: int) -> forked.Process:
        module = "tests.chaos.failpoints" if VARIABLE in env else forked.COMMANDS
        return await forked.start(
            *self._arguments, env=env, stdout=out, stderr=errors, module=module
        )

    def look(self) -> None:
        """Note what it takes, while it can still be asked."""
        if self.running:
            self.peak = max(self.peak, memory(self.pid, "VmHWM"))

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, where it is alive."""
        self.look()
        if self.running and self._process is not None:
            self._process.send_signal(number)

    async def kill(self) -> None:
        """SIGKILL it, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        await self.ended()

    async def ended(self, within: float = 180) -> int:
        """Wait until it has ended; how."""
        assert self._process is not None
        async with asyncio.timeout(within):
            return await self._process.wait()

    async def ready(self, within: float = 120) -> None:
        """Wait until it says that it is ready."""
        deadline = time() + within
        while not await self._says_ready():
            if not self.running:
                raise AssertionError(f"{self.name} ended: {self.last_words()}")
            if time() > deadline:
                raise AssertionError(f"{self.name} was not ready: {self.last_words()}")
            await asyncio.sleep(0.05)

    def last_words(self, size: int = 3000) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-size:] if self.log.exists() else ""

    async def _says_ready(self) -> bool:
        try:
            async with asyncio.timeout(2):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                try:
                    writer.write(b"GET /readyz HTTP/1.0\r\n\r\n")
                    line = await reader.readline()
                finally:
                    writer.close()
                    await writer.wait_closed()
        except (OSError, TimeoutError):
            return False
        return b" 200 " in line
