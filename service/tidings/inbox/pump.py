"""The pump: reads what everybody who is behind has missed, in one statement, and sends each of them one frame."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from itertools import islice
from typing import Any, Final

import structlog

from tidings.delivery.errors import TidingsError
from tidings.inbox.connection import CloseCode, Frame, LiveConnection
from tidings.inbox.measured import LiveMetrics
from tidings.ledger.inbox.following import Following, InboxState
from tidings.runtime.backoff import Backoff
from tidings.runtime.deadlines import Deadlines

log = structlog.get_logger(__name__)

GATHER: Final = 0.005
"""Seconds for which the first who is behind waits for company: a statement costs as much as a dozen of its inboxes."""
AT_ONCE: Final = 500
"""Inboxes in one statement, at most."""
SLOWEST: Final = 10.0
"""Seconds that a client may take for a frame."""
LONGEST_PAUSE: Final = 1.0
"""Seconds between two attempts to read while PostgreSQL is unavailable, at most."""
NEW: Final = 3600.0
"""Seconds of age from which on a message without any marks is not taken for one that was just committed."""

Writing = Callable[[], Coroutine[Any, Any, None]]
Rendering = Callable[[InboxState], Frame]
"""Writes what a client missed as a frame."""


class Pump:
    """Sends nothing but what it has just read, and to nobody who has not taken what was sent before: nothing is queued.

    Args:
        following: Reads inboxes.
        render: Writes frames.
        metrics: Counts frames.
    """

    def __init__(self, following: Following, render: Rendering, metrics: LiveMetrics) -> None:
        self._following = following
        self._render = render
        self._metrics = metrics
        self._behind: dict[LiveConnection, None] = {}
        """In the order in which they fell behind."""
        self._wake = asyncio.Event()
        self._deadlines = Deadlines()
        self._closing: set[asyncio.Task[None]] = set()
        self._answered = True

    def mark(self, connection: LiveConnection) -> None:
        """There may be something that this connection has not been sent."""
        connection.behind = True
        if connection.sending is None and not connection.closed:
            self._behind[connection] = None
            self._wake.set()

    def forget(self, connection: LiveConnection) -> None:
        """Send nothing more on this connection."""
        connection.closed = True
        self._behind.pop(connection, None)
        if connection.sending is not None:
            connection.sending.cancel()

    def heartbeat(self, connection: LiveConnection) -> None:
        """Send a sign of life."""
        self._send(connection, connection.outlet.heartbeat)
        self._metrics.sent(connection.outlet.kind, "heartbeat")

    def close(self, connection: LiveConnection, code: CloseCode) -> None:
        """Send nothing more but why the connection is closed."""
        if connection.closed:
            return
        self.forget(connection)
        connection.closed_with = code
        closing = asyncio.create_task(connection.outlet.close(code), name="close")
        self._closing.add(closing)
        closing.add_done_callback(self._closed)

    async def run_for_ever(self) -> None:
        """Read and send, until cancelled."""
        backoff = Backoff(LONGEST_PAUSE, first=0.1)
        while True:
            await self._wake.wait()
            await asyncio.sleep(GATHER)
            batch, began = self._take(), time.monotonic()
            try:
                states = await self._following.read([connection.known for connection in batch])
            except TidingsError as error:
                self._missed(batch, error)
                await asyncio.sleep(backoff.next())
                continue
            except (
                Exception
            ):  # a fault of ours, after which nobody may be left without frame or close
                self._put_back(batch)
                raise
            backoff.reset()
            self._answered = True
            for connection, state in zip(batch, states, strict=True):
                try:
                    self._answer(connection, state, began)
                except Exception:  # of one client, which must not be all others'
                    log.exception("unexpected error: a live connection is closed")
                    self.close(connection, CloseCode.TRY_LATER)

    def _take(self) -> Sequence[LiveConnection]:
        taken = list(islice(self._behind, AT_ONCE))
        for connection in taken:
            del self._behind[connection]
        if not self._behind:
            self._wake.clear()
        # One that is sent a heartbeat at the moment is marked again when that has arrived.
        batch = [connection for connection in taken if connection.sending is None]
        for connection in batch:
            connection.behind = False
        return batch

    def _missed(self, batch: Sequence[LiveConnection], error: TidingsError) -> None:
        if self._answered:
            log.warning("inboxes could not be read", error=str(error))
        self._answered = False
        self._put_back(batch)

    def _put_back(self, batch: Sequence[LiveConnection]) -> None:
        """Whoever is connected stays so, and is read for later; whoever has only come is sent away."""
        for connection in batch:
            if connection.greeted:
                self.mark(connection)
            else:
                self.close(connection, CloseCode.TRY_LATER)

    def _answer(self, connection: LiveConnection, state: InboxState, began: float) -> None:
        if connection.closed:
            return
        if connection.sending is not None:  # a heartbeat, since it was taken
            connection.behind = True
            return
        if connection.greeted:
            if state.revision == connection.revision:
                return
            self._observe(state, began)
        frame = self._render(state)
        connection.revision, connection.greeted = frame.revision, True
        self._send(connection, partial(connection.outlet.send, frame))
        self._metrics.sent(connection.outlet.kind, frame.type)

    def _observe(self, state: InboxState, began: float) -> None:
        """Measure how long new messages took; their age by PostgreSQL's clock, which set their time."""
        since = time.monotonic() - began
        for message in state.changes or ():
            if message.revision == message.position and message.seen_at is None:
                age = (state.looked_at - message.created_at).total_seconds()
                if age < NEW:
                    self._metrics.delay(age + since)

    def _send(self, connection: LiveConnection, write: Writing) -> None:
        connection.sending = asyncio.create_task(self._sent(connection, write), name="send")

    async def _sent(self, connection: LiveConnection, write: Writing) -> None:
        try:
            await self._deadlines.within(SLOWEST, write())
        except TimeoutError:
            connection.sending = None
            self.close(connection, CloseCode.TOO_SLOW)
        except OSError:
            pass  # the client is gone, which whoever receives from it finds out too
        except Exception:
            log.exception("unexpected error: a live connection is closed")
            connection.sending = None
            self.close(connection, CloseCode.TRY_LATER)
        finally:
            connection.sending = None
        connection.sent_at = asyncio.get_running_loop().time()
        if connection.behind:
            self.mark(connection)

    def _closed(self, closing: asyncio.Task[None]) -> None:
        self._closing.discard(closing)
        if not closing.cancelled() and (error := closing.exception()) is not None:
            log.error("unexpected error in closing a live connection", exc_info=error)
