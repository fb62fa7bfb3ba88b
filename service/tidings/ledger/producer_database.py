"""A connection to the database of a producer, for its outbox."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from tidings.delivery.errors import ConfigurationError, LedgerUnavailable
from tidings.ledger.connecting import Session, connect
from tidings.ledger.database import AWAY, SETUP, explain
from tidings.ledger.encryption import VARIABLE, place_of

CONNECTING: Final = 10.0
STATEMENT: Final = 30.0
"""Seconds of one statement."""


async def connect_to_producer(dsn: str, name: str) -> Session:
    """A session there. A pooler may be in between: no statement is kept in it.

    Args:
        dsn: `postgresql://user:password@host:port/database`; the certificate is verified as the ledger's is.
        name: What PostgreSQL shows for it.

    Raises:
        ConfigurationError: A file that it names can't be read.
        OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError: As asyncpg raises them.
    """
    return await connect(
        dsn,
        timeout=CONNECTING,
        known=True,
        command_timeout=STATEMENT,
        statement_cache_size=0,
        server_settings={"application_name": name},
    )


@asynccontextmanager
async def producer_database(dsn: str, name: str) -> AsyncIterator[Session]:
    """A session there, closed at the end; the driver's errors become ours.

    Args:
        dsn: As for `connect_to_producer`.
        name: What PostgreSQL shows for it.

    Raises:
        LedgerUnavailable: The database can't be reached, or did not answer in time.
        ConfigurationError: A person has to act: login, permissions, encryption.
    """
    place = place_of(dsn)
    try:
        session = await connect_to_producer(dsn, name)
        try:
            yield session
        finally:
            session.terminate()
    except SETUP as error:
        raise ConfigurationError(f"{place}: {error}") from error
    except AWAY as error:
        text = explain(error).replace(VARIABLE, "TIDINGS_OUTBOX_DSN")
        raise LedgerUnavailable(f"{place}: {text}") from error
