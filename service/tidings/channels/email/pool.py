"""Keeps a few connections to the relay; each carries one mail at a time, and who waits is served in order.

Where more mails wait than there are connections, and the relay answers quickly, the next is announced to it
together with the end of the one before it (RFC 2920, 3.1): one write and one reply a mail instead of two.
Else a mail bound to a connection might have gone sooner with another.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final, TypeAlias

import structlog

from tidings.channels.email.connection import Connection, Progress, Receipt, Stale
from tidings.channels.email.message import Mail

log = structlog.get_logger(__name__)

IDLE: Final = 60.0
"""Seconds a connection may lie unused: relays and firewalls forget those that do, silently."""

_LOOK: Final = 0.5
"""Seconds between two looks at what was announced."""
_PATIENCE: Final = 1.0
"""Seconds after which an announced mail waits no longer for the one before it, which may never end."""

_Turn: TypeAlias = asyncio.Future[Connection | None]
"""A mail's turn, when it comes: with a kept connection, or to open one."""


_NOBODY: Final = (None, None, 0.0)


class Closed(Exception):
    """The pool has been closed."""


class Pool:
    """At most `size` connections at once.

    Args:
        open_one: Opens a connection.
        mails: How many mails a connection carries before it is renewed.
        idle: Seconds it may lie unused before it is.
    """

    def __init__(
        self,
        open_one: Callable[[Progress], Awaitable[Connection]],
        *,
        size: int,
        mails: int,
        idle: float = IDLE,
    ) -> None:
        self._open = open_one
        self._size = size
        self._free = size
        self._mails = mails
        self._idle = idle
        self._line: deque[tuple[Mail, _Turn]] = deque()
        self._announced: dict[Connection, tuple[Mail, _Turn, float]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._trial: Connection | None = None
        self._understood: bool | None = None
        """Whether the relay reads on behind the end of a mail; unknown until it has done so once."""
        self._kept: list[Connection] = []
        self._leaving: set[asyncio.Task[None]] = set()
        self._closed = False

    async def carry(self, mail: Mail, progress: Progress) -> Receipt:
        """Hand over a mail with a connection: the one used last, or a new one.

        Where the one used last turns out to have died meanwhile, it is done once more with a new
        one, without waiting for another turn.

        Raises:
            Closed: The pool has been closed.
            Refusal, Stale, SMTPException, OSError, ValueError: As `Connection.carry` and opening.
        """
        connection = await self._turn(mail)
        try:
            if connection is not None:
                try:
                    return await connection.carry(mail, progress, self._ahead)
                except Stale:
                    connection.abort()
            if self._closed:
                raise Closed
            connection = await self._open(progress)
            return await connection.carry(mail, progress, self._ahead)
        finally:
            self._pass_on(connection)

    async def close(self) -> None:
        """Take leave on every connection, and wait for those already leaving."""
        self._closed = True
        while self._kept:
            self._dismiss(self._kept.pop())
        await asyncio.gather(*self._leaving)

    async def _turn(self, mail: Mail) -> Connection | None:
        if self._free:
            self._free -= 1
            return self._take()
        turn: _Turn = asyncio.get_running_loop().create_future()
        self._line.append((mail, turn))
        try:
            return await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it came in the same moment
                self._pass_on(turn.result())
            raise

    def _ahead(self, connection: Connection) -> Mail | None:
        """The mail that this connection carries next, where that may be settled already."""
        line = self._line
        while line and line[0][1].done():
            line.popleft()
        if self._closed or connection.mails >= self._mails or len(line) <= self._size:
            return None
        if not (self._may_announce() and connection.may_announce(line[0][0])):
            return None
        if self._understood is None:
            self._trial = connection
        mail, turn = line.popleft()
        self._announced[connection] = mail, turn, monotonic()
        self._look_again()
        return mail

    def _may_announce(self) -> bool:
        """One at first: a relay that offers pipelining, and does not read on, would not even take that mail."""
        return self._understood or (self._understood is None and self._trial is None)

    def _judge(self, connection: Connection) -> None:
        self._trial, self._understood = None, connection.fit
        if not self._understood:
            log.warning(
                "the relay did not answer where a mail was announced with the end of another: no more are",
                remedy="if it offers PIPELINING and can't, set TIDINGS_EMAIL_PIPELINING=false",
            )

    def _look_again(self) -> None:
        if self._timer is None and self._announced:
            self._timer = asyncio.get_running_loop().call_later(_LOOK, self._look)

    def _look(self) -> None:
        """Let what was announced too long ago go first with another connection; its own is given up."""
        self._timer = None
        limit = monotonic() - _PATIENCE
        late = [one for one, (_, _, since) in self._announced.items() if since < limit]
        for connection in reversed(late):
            mail, turn, _ = self._announced.pop(connection)
            self._line.appendleft((mail, turn))
        while self._free and self._line:
            self._free -= 1
            self._next()
        self._look_again()

    def _pass_on(self, connection: Connection | None) -> None:
        """Give the turn to who is next, and with it this connection, if it may carry another mail."""
        if connection is None:
            self._next()
            return
        if connection is self._trial:
            self._judge(connection)
        _, turn, _ = self._announced.pop(connection, _NOBODY)
        if turn is None or turn.done():
            self._take_back(connection)
            self._next()
        elif connection.fit and not self._closed:
            turn.set_result(connection)
        else:
            connection.abort()
            turn.set_result(None)

    def _next(self) -> None:
        while self._line:
            _, turn = self._line.popleft()
            if not turn.done():
                turn.set_result(self._take())
                return
        self._free += 1

    def _take(self) -> Connection | None:
        """The connection used last, so that those not needed grow old and go."""
        now = monotonic()
        while self._kept:
            connection = self._kept.pop()
            if connection.fit and now - connection.last_used < self._idle:
                return connection
            self._dismiss(connection)
        return None

    def _take_back(self, connection: Connection) -> None:
        if self._closed or connection.announced is not None:
            connection.abort()
        elif connection.fit and connection.mails < self._mails:
            connection.last_used = monotonic()
            self._kept.append(connection)
        else:
            self._dismiss(connection)

    def _dismiss(self, connection: Connection) -> None:
        """Take leave in the background; at once of one that is in no state to answer."""
        if not connection.fit:
            connection.abort()
            return
        task = asyncio.create_task(connection.quit())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
