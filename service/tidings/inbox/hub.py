"""The hub: who is connected, and what makes a connection fall behind or end."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self

import structlog

from tidings.delivery.errors import TidingsError
from tidings.delivery.inbox import InboxChange
from tidings.inbox.connection import Access, CloseCode, LiveConnection, LiveRefusal, Outlet
from tidings.inbox.measured import LiveMetrics
from tidings.inbox.pump import Pump, Rendering
from tidings.ledger.inbox.following import Following
from tidings.ledger.inbox.messages import InboxUser
from tidings.runtime.background import BackgroundTask

log = structlog.get_logger(__name__)

LOOK: Final = 15.0
"""Seconds between two comparisons of all connected users' revisions with those in PostgreSQL…"""
LOOK_WITHOUT_HINTS: Final = 1.0
"""… and while no hints arrive."""
BETWEEN_LOOKS: Final = 0.25
"""Seconds between two in any case: hints are lost one after the other when there is too much to do."""
LOOK_AT_ONCE: Final = 2000
"""Users in one such statement."""
SWEEP: Final = 1.0
"""Seconds between two looks for connections that are silent or whose token has expired."""
SILENCE: Final = 25.0
"""Seconds without a frame after which there is a heartbeat."""
CLOSED_A_SECOND: Final = 1000
"""Connections that are closed in one second when the process stops: their clients go elsewhere, all at once."""
CLOSED_AT_ONCE: Final = 20


@dataclass(frozen=True, slots=True)
class Limits:
    """How many live connections a process has, at most."""

    connections: int
    for_one_user: int


class Hub:
    """The live connections of a process. A context: within it, it follows their inboxes.

    Args:
        following: Reads inboxes.
        render: Writes what is sent.
        limits: Of connections.
        metrics: Of connections.
    """

    def __init__(
        self,
        following: Following,
        render: Rendering,
        limits: Limits,
        metrics: LiveMetrics,
    ) -> None:
        self._following = following
        self._limits = limits
        self._metrics = metrics
        self._pump = Pump(following, render, metrics)
        self.hints_arrive: Callable[[], bool] = lambda: False
        """Whether RabbitMQ brings hints at present."""
        self._connections: set[LiveConnection] = set()
        self._by_user: dict[InboxUser, set[LiveConnection]] = {}
        self._starting = 0
        self._silent: dict[asyncio.Timeout, None] = {}
        """The patience with those that have not said whose they are, longest first."""
        self._stopping = False
        self._look_now = asyncio.Event()
        self._tasks: list[BackgroundTask] = []

    async def __aenter__(self) -> Self:
        self._metrics.connections(self.count)
        self._tasks = [
            BackgroundTask("send changes of inboxes", self._pump.run_for_ever, longest_pause=1),
            BackgroundTask("compare revisions of inboxes", self._look_for_ever),
            BackgroundTask("end live connections", self._sweep_for_ever),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            await task.end()

    def count(self, kind: str) -> int:
        """Connections of a kind."""
        return sum(connection.outlet.kind == kind for connection in self._connections)

    @contextmanager
    def starting(self) -> Iterator[None]:
        """Room for a connection whose user is not known yet.

        Raises:
            LiveRefusal: There is none.
        """
        if self._stopping:
            raise LiveRefusal(CloseCode.RESTARTING)
        if len(self._connections) + self._starting >= self._limits.connections:
            self._make_room()
        self._starting += 1
        try:
            yield
        finally:
            self._starting -= 1

    @asynccontextmanager
    async def patience(self, seconds: float) -> AsyncIterator[None]:
        """Wait until it is said whose a connection is; less long if the room is needed.

        Raises:
            LiveRefusal: It was not said in time.
        """
        try:
            async with asyncio.timeout(seconds) as patience:
                self._silent[patience] = None
                try:
                    yield
                finally:
                    self._silent.pop(patience, None)
        except TimeoutError:
            raise LiveRefusal(CloseCode.NOT_STARTED) from None

    def _make_room(self) -> None:
        """In place of the one that has been silent for longest: nobody is kept out by those who only connect."""
        if not self._silent:
            raise LiveRefusal(CloseCode.TRY_LATER)
        longest = next(iter(self._silent))
        del self._silent[longest]
        if not longest.expired():
            longest.reschedule(asyncio.get_running_loop().time())

    def join(self, access: Access, outlet: Outlet, since: int | None) -> LiveConnection:
        """Follow an inbox from now on.

        Args:
            since: The revision up to which the client knows it; None: not at all.

        Raises:
            LiveRefusal: The user has too many connections, or the process stops.
        """
        if self._stopping:
            raise LiveRefusal(CloseCode.RESTARTING)
        connection = LiveConnection(access, access.user, outlet, since)
        of_user = self._by_user.setdefault(connection.user, set())
        if len(of_user) >= self._limits.for_one_user:
            raise LiveRefusal(CloseCode.TOO_MANY)
        of_user.add(connection)
        self._connections.add(connection)
        self._pump.mark(connection)
        return connection

    def leave(self, connection: LiveConnection) -> None:
        """Follow it no more: its client is gone."""
        self._pump.forget(connection)
        self._connections.discard(connection)
        of_user = self._by_user.get(connection.user, set())
        of_user.discard(connection)
        if not of_user:
            self._by_user.pop(connection.user, None)

    def prolong(self, connection: LiveConnection, access: Access) -> None:
        """Go on with another token of the same user.

        Raises:
            LiveRefusal: It is another user's.
        """
        if access.user != connection.user:
            raise LiveRefusal(CloseCode.UNAUTHENTICATED)
        connection.access = access

    def close(self, connection: LiveConnection, code: CloseCode) -> None:
        """End it from our side."""
        self._pump.close(connection, code)
        self.leave(connection)

    def hinted(self, hints: Sequence[InboxChange]) -> None:
        """These inboxes have changed, as a hint says."""
        for change in hints:
            for connection in self._by_user.get(InboxUser(change.tenant, change.user_id), ()):
                if connection.revision is None or connection.revision < change.revision:
                    self._pump.mark(connection)
        self._metrics.hints(len(hints))

    def missed(self) -> None:
        """Hints may have been lost: compare all revisions now."""
        self._look_now.set()

    def revoked(self, tenant: str, user_id: str, not_before: datetime) -> None:
        """Tokens of this user that were issued before count no more."""
        for connection in list(self._by_user.get(InboxUser(tenant, user_id), ())):
            if _issued_before(connection.access, not_before.timestamp()):
                self.close(connection, CloseCode.REVOKED)

    async def stop(self, within: float) -> None:
        """Let nobody in any more, and close all connections, evenly over a time: their clients go elsewhere.

        Args:
            within: Seconds, at most.
        """
        self._stopping = True
        everyone = list(self._connections)
        pause = min(within / max(1, len(everyone)), 1 / CLOSED_A_SECOND)
        for number, connection in enumerate(everyone, 1):
            self.close(connection, CloseCode.RESTARTING)
            if number % CLOSED_AT_ONCE == 0:
                await asyncio.sleep(pause * CLOSED_AT_ONCE)

    async def _look_for_ever(self) -> None:
        answered, looked_at = True, float("-inf")
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_WITHOUT_HINTS):
                    await self._look_now.wait()
            now = time.monotonic()
            if self.hints_arrive() and not self._look_now.is_set() and now - looked_at < LOOK:
                continue
            self._look_now.clear()
            looked_at = now
            try:
                await self._look()
            except TidingsError as error:
                if answered:
                    log.warning("revisions of inboxes could not be read", error=str(error))
                answered = False
            else:
                answered = True
            await asyncio.sleep(BETWEEN_LOOKS)

    async def _look(self) -> None:
        waiting = [it for it in self._connections if it.greeted and not it.behind]
        for first in range(0, len(waiting), LOOK_AT_ONCE):
            some = waiting[first : first + LOOK_AT_ONCE]
            for place in await self._following.moved([connection.known for connection in some]):
                self._pump.mark(some[place])

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP)
            now, silent_since = time.time(), asyncio.get_running_loop().time() - SILENCE
            for connection in list(self._connections):
                if connection.access.expires_at <= now:
                    self.close(connection, CloseCode.EXPIRED)
                elif (
                    connection.greeted
                    and connection.sending is None
                    and connection.sent_at <= silent_since
                ):
                    self._pump.heartbeat(connection)


def _issued_before(access: Access, moment: float) -> bool:
    return access.issued_at is None or access.issued_at < moment
