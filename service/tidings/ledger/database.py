"""The pool of PostgreSQL connections, and the one seam where the driver's errors become ours."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final, Self, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from tidings.delivery.errors import ConfigurationError, LedgerRefused, LedgerUnavailable
from tidings.ledger.encryption import address_of, trouble
from tidings.settings import LedgerSettings

VALUES: Final = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
)
"""What asyncpg raises where a value is to blame: SQLSTATE classes 22, 23 and 54."""

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
"""What it raises where a person has to do something first."""

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"


class Database:
    """Connections on demand. Opening it needs no PostgreSQL: the first statement does."""

    def __init__(self, settings: LedgerSettings, *, application: str = "tidings") -> None:
        self._settings = settings
        self._application = application
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._opening = asyncio.Lock()
        self.answers = True
        """Whether PostgreSQL answered when it was last asked; nobody asks while nothing happens."""

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
        """A connection for a statement or a transaction.

        Raises:
            LedgerUnavailable: PostgreSQL is away; the same may succeed later.
            LedgerRefused: It can't hold a value, now or later.
            ConfigurationError: A person has to act; says how.
        """
        try:
            pool = await self._open()
            async with pool.acquire(timeout=self._settings.database_timeout) as connection:
                yield connection
            self.answers = True
        except SETUP as error:
            raise ConfigurationError(f"PostgreSQL: {error}; run `tidings doctor`") from error
        except VALUES as error:
            raise LedgerRefused(f"PostgreSQL: {_explain(error)}") from error
        except AWAY as error:
            self.answers = False
            raise LedgerUnavailable(f"PostgreSQL: {_explain(error)}") from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection inside a transaction, committed at the end. Raises like `connection`."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def listening(
        self, channel: str, wake: asyncio.Event
    ) -> AsyncIterator[Callable[[], bool]]:
        """Set `wake` at every NOTIFY on `channel`, and where the connection is lost.

        Yields:
            Whether it still listens; once it does not, nobody else tells.
        """
        lost = asyncio.Event()

        def notified(*_: object) -> None:
            wake.set()

        def cut(_: object) -> None:
            lost.set()
            wake.set()

        async with self.connection() as connection:
            await connection.add_listener(channel, notified)
            connection.add_termination_listener(cut)
            try:
                yield lambda: not lost.is_set()
            finally:
                # A connection that is gone needs none of this, and its error would hide that we are to stop.
                with suppress(*AWAY):
                    connection.remove_termination_listener(cut)
                    await connection.remove_listener(channel, notified)

    async def _open(self) -> "asyncpg.Pool[asyncpg.Record]":
        async with self._opening:
            if self._pool is None:
                address = address_of(self._settings.database_url.get_secret_value())
                self._pool = await asyncpg.create_pool(
                    address.url,
                    ssl=address.tls,
                    min_size=0,
                    max_size=self._settings.database_pool_size,
                    timeout=self._settings.database_timeout,
                    command_timeout=self._settings.database_timeout,
                    reset=_keep,
                    server_settings={"application_name": self._application},
                )
            return self._pool


async def _keep(_: object) -> None:
    """We leave no state behind in a session, so a round trip to reset it would be for nothing."""


def _explain(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return trouble(error) or str(error) or type(error).__name__
