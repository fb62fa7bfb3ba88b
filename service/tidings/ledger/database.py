"""The pool of PostgreSQL connections, and the one seam where the driver's errors become ours."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Final, Protocol, Self, TypeAlias
from weakref import WeakSet

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from tidings.delivery.errors import ConfigurationError, LedgerRefused, LedgerUnavailable, RowsMoving
from tidings.ledger.connecting import Session, connect
from tidings.ledger.encryption import place_of, trouble
from tidings.runtime.patience import patience
from tidings.settings import LedgerSettings

VALUES: Final = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
)
"""asyncpg's errors about a value: SQLSTATE classes 22, 23 and 54."""

AWAY: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
"""Everything else it raises: the same statement may succeed later. PostgreSQL is away, restarting,
failing over, overloaded or broken, or it chose this transaction to break a deadlock."""

SETUP: Final = (
    asyncpg.exceptions.ClientConfigurationError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.InsufficientPrivilegeError,
)
"""Errors that need a person: configuration, authorisation, missing tables."""

NOT_THE_PRIMARY: Final = frozenset({"25006", "55000"})
"""SQLSTATEs of a server that accepts no writes: a standby, or a demoted primary."""

SUSPECT: Final = (OSError, asyncpg.PostgresError)
"""What may say that every connection that is open leads to the wrong server, or to none; a TimeoutError is an OSError."""

MOVING: Final = "tidings_moving"
"""A constraint that is there for the moments in which rows move from one partition to another."""

RELEASE: Final = 2.0
"""Seconds to cancel an abandoned statement before its connection is closed."""

PLANNED_FOR: Final = 15
"""Seconds for which a statement is planned. The plan that is best for a week without notifications reads all of them once
there are some; and PostgreSQL keeps it until autovacuum has looked at the week, which takes minutes."""

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"


class Database(Protocol):
    """Connections and transactions for the ledger's statements."""

    @property
    def answers(self) -> bool:
        """Whether PostgreSQL answered the last statement."""
        ...

    async def __aenter__(self) -> object: ...

    async def __aexit__(self, *_: object) -> None: ...

    def connection(self) -> AbstractAsyncContextManager[Connection]:
        """A connection for a statement or a transaction.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable; the same may succeed later.
            LedgerRefused: PostgreSQL can't store a value.
            ConfigurationError: A person has to act; the text says how.
        """
        ...

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """A connection inside a transaction, committed at the end. Raises like `connection`."""
        ...

    def listening(
        self, channel: str, wake: asyncio.Event
    ) -> AbstractAsyncContextManager[Callable[[], bool]]:
        """Set `wake` at every NOTIFY on `channel`, and if the connection is lost.

        Yields:
            Whether it still listens; once it does not, nothing else tells.
        """
        ...


class PostgresDatabase:
    """Connections on demand. Opening it needs no PostgreSQL: the first statement does."""

    def __init__(self, settings: LedgerSettings, *, application: str = "tidings") -> None:
        self._settings = settings
        self._place = place_of(settings.database_url.get_secret_value())
        self._application = application
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._opening = asyncio.Lock()
        self._looking = asyncio.Lock()
        self._known = False
        """Whether no pooler that mixes sessions is in between."""
        self._listeners: set[Callable[[], None]] = set()
        self._sessions: WeakSet[Session] = WeakSet()
        self._in_use: set[int] = set()
        """Sessions in use, by their process in PostgreSQL."""
        self.answers = True
        """Whether PostgreSQL answered the last statement; stays as it is while none runs."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._pool is not None:
            pool, self._pool = self._pool, None
            try:
                async with asyncio.timeout(5):
                    await pool.close()
            except TimeoutError:
                pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """One of the pool; the driver's errors become ours."""
        limit = patience()
        try:
            async with asyncio.timeout(limit):
                pool = await self._open()
                connection = await pool.acquire(timeout=self._settings.database_timeout)
                process = connection.get_server_pid()
                self._in_use.add(process)
                try:
                    yield connection
                except SUSPECT as error:
                    if _is_about_the_server(error):
                        await self._renew(pool, error)
                    raise
                finally:
                    self._in_use.discard(process)
                    await pool.release(connection, timeout=min(RELEASE, limit or RELEASE))
            self.answers = True
        except SETUP as error:
            raise ConfigurationError(f"{self._place}: {error}; run `tidings doctor`") from error
        except VALUES as error:
            if getattr(error, "constraint_name", None) == MOVING:
                raise RowsMoving(f"{self._place}: rows are moving to another partition") from error
            # Without what asyncpg raised, whose text quotes the value: a traceback of ours may be logged.
            raise LedgerRefused(f"{self._place}: {explain(error)}") from None
        except AWAY as error:
            self.answers = False
            raise LedgerUnavailable(f"{self._place}: {explain(error)}") from error

    async def _renew(self, pool: "asyncpg.Pool[asyncpg.Record]", error: Exception) -> None:
        """Use no open connection again: after a failover each would have to find out for itself."""
        await pool.expire_connections()  # those in use are closed when they are released
        for session in list(self._sessions):
            # One that was cut is remembered until the garbage collector comes, and knows no process any more.
            if not session.is_closed() and session.get_server_pid() not in self._in_use:
                session.terminate()  # taking leave of a server that is gone would never end
        if _takes_no_writes(error):
            for cut in list(self._listeners):
                cut()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection inside a transaction."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def listening(
        self, channel: str, wake: asyncio.Event
    ) -> AsyncIterator[Callable[[], bool]]:
        """A connection that is kept for NOTIFY alone."""
        lost = asyncio.Event()

        def notified(*_: object) -> None:
            wake.set()

        def cut(*_: object) -> None:
            lost.set()
            wake.set()

        async with self.connection() as connection:
            await connection.add_listener(channel, notified)
            connection.add_termination_listener(cut)
            self._listeners.add(cut)
            try:
                yield lambda: not lost.is_set()
            finally:
                self._listeners.discard(cut)
                # A connection that is gone needs none of this, and its error would hide that we are to stop.
                with suppress(*AWAY):
                    connection.remove_termination_listener(cut)
                    await connection.remove_listener(channel, notified)

    async def _open(self) -> "asyncpg.Pool[asyncpg.Record]":
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    connect=self._connect,
                    min_size=0,
                    max_size=self._settings.database_pool_size,
                    timeout=self._settings.database_timeout,
                    command_timeout=self._settings.database_timeout,
                    reset=_keep,
                    max_cached_statement_lifetime=PLANNED_FOR,
                    server_settings={"application_name": self._application},
                )
            return self._pool

    async def _connect(self, *_: Any, **options: Any) -> Session:
        """Until one was opened, one at a time: what is in between is looked at with further sessions."""
        url = self._settings.database_url.get_secret_value()
        if self._known:
            session = await connect(url, known=True, **options)
        else:
            async with self._looking:
                session = await connect(url, known=self._known, **options)
                self._known = True
        self._sessions.add(session)
        return session


def _takes_no_writes(error: Exception) -> bool:
    return isinstance(error, asyncpg.PostgresError) and error.sqlstate in NOT_THE_PRIMARY


def _is_about_the_server(error: Exception) -> bool:
    return isinstance(error, OSError | asyncpg.PostgresConnectionError) or _takes_no_writes(error)


async def _keep(_: object) -> None:
    """We leave no state behind in a session, so a round trip to reset it would be for nothing."""


def explain(error: BaseException) -> str:
    """What went wrong on the way to PostgreSQL, in a few words; of a value that it refused, none of it."""
    match error:
        case _ if isinstance(error, VALUES):
            return str(error.args[0]).partition(": ")[0]
        case TimeoutError():
            return "no answer in time"
        case asyncpg.TargetServerAttributeNotMatched():
            return "no host in TIDINGS_DATABASE_URL accepts writes"
        case OSError(strerror=str() as text) if trouble(error) is None:
            return text
        case _:
            return trouble(error) or str(error) or type(error).__name__
