"""Pools connections to the relay; each carries one mail at a time, and waiting mails are served in order.

A relay may accept fewer connections than the pool's size. The pool then shrinks to that number, mails queue for
those connections, and from time to time it tries to open one more.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import Any, Final, TypeAlias

import structlog

from tidings.channels.email.closing import ClosingConnections
from tidings.channels.email.connection import MailProgress, SmtpConnection
from tidings.channels.email.connection_limits import (
    StaleConnection,
    TooManyConnections,
    connection_refused,
)
from tidings.channels.email.message import Mail
from tidings.channels.email.replies import SmtpReply, Stage

log = structlog.get_logger(__name__)

IDLE: Final = 60.0
"""Seconds a connection may be idle: relays and firewalls drop idle ones silently."""
ROOM: Final = 0.5
"""Seconds until a pool that met a limit tries one more connection; doubled each time it is refused …"""
LONGEST: Final = 60.0
"""… up to this."""
_RENEWALS: Final = 2
"""How often a mail is retried over a new connection after a stale one."""

_Turn: TypeAlias = asyncio.Future[SmtpConnection | None]
"""A mail's turn: resolves to an idle connection, or to None if the mail should open one."""


class PoolClosed(Exception):
    """The pool has been closed."""


class Growth:
    """Grows a pool again that met the relay's limit: which turns are withheld, and when one is tried.

    Args:
        give_turn: Lets one more connection be opened.
        room: Seconds until the first try.
    """

    def __init__(self, give_turn: Callable[[], None], room: float) -> None:
        self._give_turn = give_turn
        self._room = self._pause = room
        self._timer: asyncio.TimerHandle | None = None
        self._trying = False
        self._step = 1
        """Turns to give at the next try: doubled each time it succeeds."""
        self._met = 0
        self.retired = 0
        """Turns withheld."""

    def refused(self, connections: int) -> None:
        """The relay accepts no more than these connections: withhold the turn for now."""
        if not self.retired:
            log.warning(
                "relay connection limit reached: it is below TIDINGS_EMAIL_CONNECTIONS",
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
        """A connection was opened; there are this many now."""
        if connections <= self._met:
            return
        waited, self._pause = self._pause, self._room
        if self._trying:
            self._trying, self._step = False, 2 * self._step
        # Otherwise it is due soon: if connections are renewed often, it would be postponed for ever.
        if waited > self._room:
            self._try_later()

    def stop(self) -> None:
        """Stop trying."""
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
        open_connection: Opens a connection.
        mails: How many mails a connection carries before it is renewed.
        idle: Seconds it may be idle before it is renewed.
        room: Seconds until a pool that met a limit of the relay tries one more connection.
    """

    def __init__(
        self,
        open_connection: Callable[[MailProgress], Coroutine[Any, Any, SmtpConnection]],
        *,
        size: int,
        mails: int,
        idle: float = IDLE,
        room: float = ROOM,
    ) -> None:
        self._open = open_connection
        self._size = self._free = size
        self._mails = mails
        self._idle = idle
        self._line: deque[_Turn] = deque()
        self._turned_away: deque[_Turn] = deque()
        """Mails whose connection was refused; they had their turn, and go first."""
        self._idle_connections: list[SmtpConnection] = []
        self._connections: set[SmtpConnection] = set()
        """Connections in use, and idle ones."""
        self._opening = 0
        self._closing = ClosingConnections()
        self._growth = Growth(self._next, room)
        self._closed = False

    async def carry(self, mail: Mail, progress: MailProgress) -> SmtpReply:
        """Send a mail over the connection used last, or a new one.

        If it turns out to be stale, a new one is opened at once; if the relay accepts no more connections,
        the mail waits for one of the others.

        Raises:
            PoolClosed: The pool is closed.
            NegativeReply, StaleConnection, SpeaksLMTP, SMTPException, OSError, ValueError: As
                `SmtpConnection.carry` and `Relay.open`.
        """
        connection = await self._turn(self._line)
        while True:
            try:
                return await self._carry(connection, mail, progress)
            except TooManyConnections:
                progress.stage = Stage.WAITING
            connection = await self._turn(self._turned_away)

    async def close(self) -> None:
        """Close every connection with QUIT, and wait for those being closed."""
        self._closed = True
        self._growth.stop()
        while self._idle_connections:
            self._dismiss(self._idle_connections.pop())
        await self._closing.wait_for_all()

    async def _turn(self, line: deque[_Turn]) -> SmtpConnection | None:
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

    async def _carry(
        self, connection: SmtpConnection | None, mail: Mail, progress: MailProgress
    ) -> SmtpReply:
        """Send a mail in its turn.

        Raises:
            TooManyConnections: The relay accepts no more connections than our others; the turn is withheld.
        """
        retire = False
        try:
            for _ in range(_RENEWALS):
                connection = connection or await self._opened(progress)
                try:
                    return await connection.carry(mail, progress)
                except StaleConnection:
                    self._dismiss(connection)
                    connection = None
            connection = await self._opened(progress)
            return await connection.carry(mail, progress)
        except TooManyConnections as crowded:
            retire = self._others(connection)
            if retire:
                raise
            raise crowded.error from None  # it is our only one: the relay accepts none
        finally:
            if retire:
                self._retire(connection)
            else:
                self._pass_on(connection)

    async def _opened(self, progress: MailProgress) -> SmtpConnection:
        if self._closed:
            raise PoolClosed
        # Connections being closed count until they are closed.
        while self._closing.quitting and self._is_full:
            await self._closing.wait_for_any()
        self._opening += 1
        try:
            connection = await self._closing.open(self._open(progress))
        except Exception as error:
            if connection_refused(progress.stage, error):
                raise TooManyConnections(error) from None
            raise
        finally:
            self._opening -= 1
        self._connections.add(connection)
        self._growth.opened(len(self._connections))
        return connection

    @property
    def _is_full(self) -> bool:
        """Whether one more would exceed the pool's size or the relay's limit."""
        connections = len(self._connections) + self._opening + self._closing.quitting
        return bool(self._growth.retired) or connections >= self._size

    def _others(self, connection: SmtpConnection | None) -> bool:
        """Whether we have other connections, or ones being opened or closed."""
        return bool(self._opening or self._closing.pending) or any(
            other.alive for other in self._connections if other is not connection
        )

    def _retire(self, connection: SmtpConnection | None) -> None:
        if connection is not None:
            self._dismiss(connection)
        self._growth.refused(len(self._connections))

    def _pass_on(self, connection: SmtpConnection | None) -> None:
        """Give the turn to the next mail, with this connection if it can be reused."""
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

    def _take(self) -> SmtpConnection | None:
        """The connection used last, so that unneeded ones become idle and are closed."""
        now = monotonic()
        while self._idle_connections:
            connection = self._idle_connections.pop()
            if connection.reusable and now - connection.last_used < self._idle:
                return connection
            self._dismiss(connection)
        return None

    def _take_back(self, connection: SmtpConnection) -> None:
        worn_out = connection.often_refused or connection.mails >= self._mails
        if self._closed or worn_out or not connection.reusable:
            self._dismiss(connection)
        else:
            connection.last_used = monotonic()
            self._idle_connections.append(connection)

    def _dismiss(self, connection: SmtpConnection) -> None:
        """Close a connection in the background."""
        self._connections.discard(connection)
        self._closing.close(connection)
