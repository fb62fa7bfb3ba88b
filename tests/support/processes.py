"""The command line as processes: the installed one, the way an operator runs it, and forks of one that is loaded."""

import asyncio
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support import forked
from tests.support.commands import Finished, environment
from tests.support.worker_rig import eventually

from tidings_local.ports import free_port

TIDINGS = Path(sys.executable).with_name("tidings")


async def tidings(
    *arguments: str,
    env: Mapping[str, str],
    within: float = 60,
    stdin: bytes = b"",
    program: Sequence[str] = (str(TIDINGS),),
) -> Finished:
    """Run a command to its end."""
    process = await asyncio.create_subprocess_exec(
        *program,
        *arguments,
        env={**environment(), **env},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(within):
            out, err = await process.communicate(stdin)
    except TimeoutError:
        process.kill()
        out, err = await process.communicate()
        raise AssertionError(
            f"tidings {arguments} did not end: {out.decode()}{err.decode()}"
        ) from None
    assert process.returncode is not None
    return Finished(process.returncode, out.decode(), err.decode())


@dataclass
class Role:
    """A role that is running."""

    process: asyncio.subprocess.Process | forked.Process
    port: int
    log: Path

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    async def ended(self, within: float = 45) -> int:
        """Wait for its exit code."""
        async with asyncio.timeout(within):
            return await self.process.wait()

    async def ready(self) -> bool:
        """Whether it says that it is."""
        if self.process.returncode is not None:
            raise AssertionError(
                f"it ended with {self.process.returncode}: {self.log.read_text()[-3000:]}"
            )
        return await asyncio.to_thread(self._asked)

    def get(self, path: str) -> str:
        """Ask its HTTP face."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=2) as reply:
            return reply.read().decode()

    def _asked(self) -> bool:
        try:
            self.get("/readyz")
        except (urllib.error.URLError, OSError):
            return False
        return True


@asynccontextmanager
async def running(
    *arguments: str,
    env: Mapping[str, str],
    log: Path,
    wait: bool = True,
    stderr: int | None = None,
    installed: bool = False,
) -> AsyncIterator[Role]:
    """A role as a process of its own, ready; killed at the end where it still runs.

    Args:
        stderr: A descriptor to which it logs instead of to `log`.
        installed: Start the installed command, which takes a second of CPU to load, instead of a fork:
            where it matters what is in its memory, or how it begins.
    """
    port = free_port()
    given = {
        "TIDINGS_API_LISTEN": "127.0.0.1:0",
        **environment(),
        **env,
        "TIDINGS_HTTP_PORT": str(port),
    }
    process: asyncio.subprocess.Process | forked.Process
    with log.open("ab") as sink:
        errors = sink.fileno() if stderr is None else stderr
        if installed:
            process = await asyncio.create_subprocess_exec(
                TIDINGS,
                *arguments,
                env=given,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sink,
                stderr=errors,
            )
        else:
            process = await forked.start(*arguments, env=given, stdout=sink.fileno(), stderr=errors)
    role = Role(process, port, log)
    try:
        if wait:
            await eventually(role.ready, within=30)
        yield role
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
