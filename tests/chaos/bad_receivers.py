"""Web servers that behave badly, in a process of their own: `python -m tests.chaos.bad_receivers HOW MANY`.

`flood` answers with 100 Continue for ever, `tarpit` takes a request and says nothing. Prints its ports as a JSON
list, and ends with its standard input.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, cast

FLOOD: Final = b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000
ROOT: Final = Path(__file__).parents[2]


class _Tarpit(asyncio.Protocol):
    """Says nothing."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)


class _Flood(_Tarpit):
    """Says the same without end, as fast as it is read."""

    full = False

    def data_received(self, data: bytes) -> None:
        self._pour()

    def _pour(self) -> None:
        if not (self.full or self.transport.is_closing()):
            self.transport.write(FLOOD)
            asyncio.get_running_loop().call_soon(self._pour)

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        self._pour()


async def _serve(kind: Callable[[], asyncio.Protocol], count: int) -> None:
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(kind, "127.0.0.1", 0) for _ in range(count)]
    sys.stdout.write(json.dumps([server.sockets[0].getsockname()[1] for server in servers]) + "\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)
    for server in servers:
        server.close()


@asynccontextmanager
async def behaving(how: str, count: int = 1) -> AsyncIterator[Sequence[str]]:
    """So many such servers; their URLs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos.bad_receivers", how, str(count)),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        ports = json.loads(await process.stdout.readline())
        yield [f"http://127.0.0.1:{port}" for port in ports]
    finally:
        process.stdin.close()
        await process.wait()


if __name__ == "__main__":
    asyncio.run(_serve({"flood": _Flood, "tarpit": _Tarpit}[sys.argv[1]], int(sys.argv[2])))
