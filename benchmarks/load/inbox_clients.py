"""Many users' live connections in one process, told what to do by lines on its standard input; answers each with JSON.

`open`: all of them connect, a few hundred at a time. `reconnect`: all drop their connections and connect at once, resuming.
`count`: forget what was received so far. `received`: what has been received since.
"""

import asyncio
import json
import os
import resource
import sys
import time
from datetime import datetime
from functools import partial
from typing import Any, Final

import jwt
import uvloop

from benchmarks.attempts import milliseconds
from benchmarks.load.inbox_socket import InboxSocket

AT_ONCE: Final = 250
PATIENCE: Final = 30.0
ISSUER: Final = "https://login.example.com"
AUDIENCE: Final = "tidings"


class Clients:
    """All of them.

    Args:
        port: Of the API.
        count: How many; each is a user of its own.
        secret: Signs their tokens.
    """

    def __init__(self, port: int, count: int, secret: str) -> None:
        self._port = port
        self._count = count
        self._tokens = [_token(f"user-{number}", secret) for number in range(count)]
        self._sockets: dict[int, InboxSocket] = {}
        self._revisions: list[int | None] = [None] * count
        self._waiting: dict[int, float] = {}
        self._served: list[float] = []
        self._all_served = asyncio.Event()
        self._errors: list[str] = []
        self._latencies: list[float] = []
        self._frames = 0
        self._leaving = False

    async def open(self) -> dict[str, Any]:
        """Connect."""
        return await self._connect(AT_ONCE)

    async def reconnect(self) -> dict[str, Any]:
        """Drop all connections, and connect all at once."""
        self._leaving = True
        for socket in self._sockets.values():
            if socket.transport is not None:
                socket.transport.abort()
        await asyncio.sleep(0)
        while self._sockets:
            await asyncio.sleep(0.001)
        self._leaving = False
        return await self._connect(self._count)

    def count(self) -> dict[str, Any]:
        """Begin to count."""
        self._latencies.clear()
        self._frames = 0
        return {}

    def received(self) -> dict[str, Any]:
        """What came since."""
        found = milliseconds(self._latencies) if self._latencies else {}
        longest = max(self._latencies, default=0.0) * 1000
        return {
            **found,
            "longest_ms": longest,
            "messages": len(self._latencies),
            "frames": self._frames,
            "errors": len(self._errors),
            "first_error": next(iter(self._errors), ""),
            "open": len(self._sockets),
        }

    async def _connect(self, at_once: int) -> dict[str, Any]:
        self._served, self._errors = [], []
        self._all_served.clear()
        limit, began = asyncio.Semaphore(at_once), time.monotonic()
        self._waiting = dict.fromkeys(range(self._count), began)
        async with asyncio.TaskGroup() as group:
            for number in range(self._count):
                await limit.acquire()
                task = group.create_task(self._one(number))
                task.add_done_callback(lambda _: limit.release())
        try:
            async with asyncio.timeout(PATIENCE):
                await self._all_served.wait()
        except TimeoutError:
            self._errors.append(f"{len(self._waiting)} were not served")
        return {
            "seconds": time.monotonic() - began,
            "served": len(self._served),
            "p99_s": milliseconds(self._served)["p99_ms"] / 1000 if self._served else 0.0,
            "errors": len(self._errors),
            "first_error": next(iter(self._errors), ""),
        }

    async def _one(self, number: int) -> None:
        start: dict[str, Any] = {"type": "start", "token": self._tokens[number]}
        if self._revisions[number] is not None:
            start["since"] = self._revisions[number]
        make = partial(
            InboxSocket,
            f"127.0.0.1:{self._port}",
            json.dumps(start).encode(),
            partial(self._receive, number),
            partial(self._lost, number),
        )
        try:
            _, socket = await asyncio.get_running_loop().create_connection(
                make, "127.0.0.1", self._port
            )
        except OSError as error:
            self._fail(number, repr(error))
        else:
            self._sockets[number] = socket

    def _receive(self, number: int, frame: dict[str, Any]) -> None:
        now = time.time()
        self._frames += 1
        if frame["type"] == "closed":
            self._fail(number, f"closed with {frame['code']}")
        elif "revision" in frame:
            self._revisions[number] = frame["revision"]
            began = self._waiting.pop(number, None)
            if began is not None:
                self._served.append(time.monotonic() - began)
                if not self._waiting:
                    self._all_served.set()
                return
            for message in frame.get("data", ()):
                committed = datetime.fromisoformat(message["created_at"]).timestamp()
                self._latencies.append(now - committed)

    def _lost(self, number: int, why: str) -> None:
        self._sockets.pop(number, None)
        if not self._leaving:
            self._fail(number, why)

    def _fail(self, number: int, why: str) -> None:
        self._errors.append(why)
        self._waiting.pop(number, None)
        if not self._waiting:
            self._all_served.set()


def _token(user: str, secret: str) -> str:
    now = int(time.time())
    claims = {"sub": user, "iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 3600}
    return jwt.encode(claims, secret, "HS256")


async def main() -> None:
    """Do as it is told, until its standard input ends."""
    port, count = int(sys.argv[1]), int(sys.argv[2])
    clients = Clients(port, count, os.environ["BENCH_JWT_SECRET"])
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        match line.strip():
            case "open":
                found = await clients.open()
            case "reconnect":
                found = await clients.reconnect()
            case "count":
                found = clients.count()
            case _:
                found = clients.received()
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
