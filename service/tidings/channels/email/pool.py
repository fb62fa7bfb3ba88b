"""Keeps a few connections to the relay; each carries one mail at a time, and who waits is served in order.

A relay may take fewer connections than we would open. Then the pool shrinks to what it takes, the mails wait in
line for those, and now and then it tries whether there is room for one more.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import Any, Final, TypeAlias

import structlog

from tidings.channels.email.closing import Farewells
from tidings.channels.email.connection import Connection, Progress
from tidings.channels.email.connection_limits import Crowded, Stale, turned_away
from tidings.channels.email.message import Mail
from tidings.channels.email.replies import Reply, Stage

log = structlog.get_logger(__name__)

IDLE: Final = 60.0
"""Seconds a connection may lie unused: relays and firewalls forget those that do, silently."""
ROOM: Final = 0.5
"""Seconds until a pool that met a limit tries one more connection; twice as long each time it is refused …"""
LONGEST: Final = 60.0
"""… up to so many."""
_RENEWALS: Final = 2
"""How often a mail goes on with a new connection, where the one before would not do."""

_Turn: TypeAlias = asyncio.Future[Connection | None]
"""A mail's turn, when it comes: with a kept connection, or to open one."""


class Closed(Exception):
    """The pool has been closed."""


class Growth:
    """How a pool that met a limit of the relay goes on: turns that it may not use now, and when it tries again.

    Args:
        give_turn: Somebody may open a connection more.
        room: Seconds until the first try.
    """

    def __init__(self, give_turn: Callable[[], None], room: float) -> None:
        self._give_turn = give_turn
        self._room = self._pause = room
        self._timer: asyncio.TimerHandle | None = None
        self._trying = False
        self._step = 1
        """Turns to give at the next try: twice as many each time that there was room."""
        self._met = 0
        self.retired = 0
        """Turns not in use."""

    def refused(self, connections: int) -> None:
        """There is no room beside so many connections: the turn is not to be used for now."""
        if not self.retired:
            log.warning(
                "the relay takes fewer connections than TIDINGS_EMAIL_CONNECTIONS: mails wait for those",
                connections=connections,
            )
        self.retired += 1
        self._met = connections
        self._step = 1
        if self._trying:
            self._trying = False
            self._pause = min(2 * self._pause, LONGEST)
        self._try_later()

    def opened(self, connections: int) -> None:
        """A connection was opened, which makes so many."""
        if connections <= self._met:
            return
        waited, self._pause = self._pause, self._room
        if self._trying:
            self._trying, self._step = False, 2 * self._step
        # Otherwise it is due soon: who renews connections often would never come to it.
        if waited > self._room:
            self._try_later()

    def stop(self) -> None:
        """Try no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _try_later(self) -> None:
        self.stop()
        if self.retired:
            self._timer = asyncio.get_running_loop().call_later(self._pause, self._try)

    def _try(self) -> None:
        self._trying = True
        for _ in range(min(self._step, self.retired)):
            self.retired -= 1
            self._give_turn()
        self._try_later()


class Pool:
    """At most `size` connections at once.

    Args:
        open_one: Opens a connection.
        mails: How many mails a connection carries before it is renewed.
        idle: Seconds it may lie unused before it is.
        room: Seconds until a pool that met a limit of the relay tries one more connection.
    """

    def __init__(
        self,
        open_one: Callable[[Progress], Coroutine[Any, Any, Connection]],
        *,
        size: int,
        mails: int,
        idle: float = IDLE,
        room: float = ROOM,
    ) -> None:
        self._open = open_one
        self._size = self._free = size
        self._mails = mails
        self._idle = idle
        self._line: deque[_Turn] = deque()
        self._turned_away: deque[_Turn] = deque()
        """Those for whom there was no room; they had their turn, and go first."""
        self._kept: list[Connection] = []
        self._mine: set[Connection] = set()
        """Those in use, and those kept."""
        self._opening = 0
        self._farewells = Farewells()
        self._growth = Growth(self._next, room)
        self._closed = False

    async def carry(self, mail: Mail, progress: Progress) -> Reply:
        """Hand over a mail with a connection: the one used last, or a new one.

        Where that turns out to be stale, it is done again with a new one, without waiting for another
        turn; where the relay has no room for one more, the mail waits for one of the others.

        Raises:
            Closed: The pool has been closed.
            Refusal, Stale, SpeaksLMTP, SMTPException, OSError, ValueError: As `Connection.carry` and opening.
        """
        connection = await self._turn(self._line)
        while True:
            try:
                return await self._carry(connection, mail, progress)
            except Crowded:
                progress.stage = Stage.WAITING
            connection = await self._turn(self._turned_away)

    async def close(self) -> None:
        """Take leave on every connection, and wait for those already leaving."""
        self._closed = True
        self._growth.stop()
        while self._kept:
            self._dismiss(self._kept.pop())
        await self._farewells.all()

    async def _turn(self, line: deque[_Turn]) -> Connection | None:
        if self._free:
            self._free -= 1
            return self._take()
        turn: _Turn = asyncio.get_running_loop().create_future()
        line.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it came in the same moment
                self._pass_on(turn.result())
            raise

    async def _carry(self, connection: Connection | None, mail: Mail, progress: Progress) -> Reply:
        """One turn.

        Raises:
            Crowded: There is no room beside our other connections; the turn is given up.
        """
        retire = False
        try:
            for _ in range(_RENEWALS):
                connection = connection or await self._opened(progress)
                try:
                    return await connection.carry(mail, progress)
                except Stale:
                    self._dismiss(connection)
                    connection = None
            connection = await self._opened(progress)
            return await connection.carry(mail, progress)
        except Crowded as crowded:
            retire = self._others(connection)
            if retire:
                raise
            raise crowded.trouble from None  # it is the only one: so the relay takes none
        finally:
            if retire:
                self._retire(connection)
            else:
                self._pass_on(connection)

    async def _opened(self, progress: Progress) -> Connection:
        if self._closed:
            raise Closed
        # Those that leave count until they are gone.
        while self._farewells.prompt and self._is_full:
            await self._farewells.one()
        self._opening += 1
        try:
            connection = await self._farewells.opened(self._open(progress))
        except Exception as trouble:
            if turned_away(progress.stage, trouble):
                raise Crowded(trouble) from None
            raise
        finally:
            self._opening -= 1
        self._mine.add(connection)
        self._growth.opened(len(self._mine))
        return connection

    @property
    def _is_full(self) -> bool:
        """Whether one more would be too many for us, or for a relay whose limit was met."""
        connections = len(self._mine) + self._opening + self._farewells.prompt
        return bool(self._growth.retired) or connections >= self._size

    def _others(self, connection: Connection | None) -> bool:
        """Whether there are connections of ours besides this one, or will be in a moment, or were just now."""
        return bool(self._opening or self._farewells.any) or any(
            one.alive for one in self._mine if one is not connection
        )

    def _retire(self, connection: Connection | None) -> None:
        if connection is not None:
            self._dismiss(connection)
        self._growth.refused(len(self._mine))

    def _pass_on(self, connection: Connection | None) -> None:
        """Give the turn to who is next, and with it this connection, if it may carry another mail."""
        if connection is not None:
            self._take_back(connection)
        self._next()

    def _next(self) -> None:
        while line := self._turned_away or self._line:
            turn = line.popleft()
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
        worn = connection.tired or connection.mails >= self._mails
        if self._closed or worn or not connection.fit:
            self._dismiss(connection)
        else:
            connection.last_used = monotonic()
            self._kept.append(connection)

    def _dismiss(self, connection: Connection) -> None:
        """Take leave in the background."""
        self._mine.discard(connection)
        self._farewells.dismiss(connection)
