"""The outbox in a producer's own database: install it, show it, publish failed rows again."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from tidings.delivery.errors import ConfigurationError, InvalidRequest, Refused
from tidings.ledger.connecting import Session
from tidings.ledger.producer_database import producer_database
from tidings.settings import OutboxSettings
from tidings_events.outbox import inspection as table
from tidings_events.outbox import install_sql
from tidings_events.outbox.inspection import FailedRows, OutboxRefused, WaitingLane
from tidings_events.outbox.rows import OutboxMissing

NAME = "tidings outbox"


@dataclass(frozen=True, slots=True)
class ProducerOutbox:
    """Which outbox is meant.

    Args:
        dsn: Of the database; that of the settings if None.
        schema: Where the table is.
    """

    dsn: str | None
    schema: str


@dataclass(frozen=True, slots=True)
class InstalledOutbox:
    """The table is there."""

    schema: str
    before: int | None
    """The version that was there before; None if it is new."""


@dataclass(frozen=True, slots=True)
class ProducerOutboxView:
    """What waits to be published, and what failed."""

    pending: int
    oldest: float
    """Seconds since the oldest pending row was inserted; 0 if there is none."""
    lanes: Sequence[WaitingLane]
    failed: Sequence[FailedRows]

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return {
            "pending": self.pending,
            "oldest_seconds": round(self.oldest, 1),
            "lanes": [asdict(lane) for lane in self.lanes],
            "failed": [asdict(group) for group in self.failed],
        }


def sql(schema: str, *, notify: bool) -> str:
    """The SQL that `install` runs. Raises InvalidRequest if the schema is no name."""
    try:
        return install_sql(schema, notify=notify)
    except ValueError as error:
        raise InvalidRequest(str(error), field="schema") from None


async def install(
    settings: OutboxSettings, outbox: ProducerOutbox, *, notify: bool
) -> InstalledOutbox:
    """Create what is missing of the table.

    Raises:
        InvalidRequest: The schema is no name.
        Refused: There is no such schema, or another table of that name.
        LedgerUnavailable, ConfigurationError: As `producer_database`.
    """
    sql(outbox.schema, notify=notify)
    async with _opened(settings, outbox) as session:
        try:
            before = await table.install(session, outbox.schema, notify=notify)
        except OutboxRefused as error:
            raise Refused(str(error)) from None
    return InstalledOutbox(outbox.schema, before)


async def status(settings: OutboxSettings, outbox: ProducerOutbox) -> ProducerOutboxView:
    """What waits and what failed. Raises like `install`, and ConfigurationError if there is no table."""
    async with _opened(settings, outbox) as session:
        found = await table.status(session, outbox.schema)
    return ProducerOutboxView(found.pending, found.oldest, found.lanes, found.failed)


async def republish(
    settings: OutboxSettings,
    outbox: ProducerOutbox,
    ids: Sequence[UUID] | None,
    *,
    dry_run: bool = False,
) -> int:
    """Publish failed rows again, all of them if `ids` is None; how many. Raises like `status`.

    Args:
        settings: Name the database, if `outbox` doesn't.
        outbox: Which one.
        ids: Of notifications.
        dry_run: Count only.
    """
    async with _opened(settings, outbox) as session:
        return await table.republish(session, outbox.schema, ids, dry_run=dry_run)


def dsn_of(settings: OutboxSettings, given: str | None) -> str:
    """The producer's database.

    Raises:
        InvalidRequest: It is not written like one.
        ConfigurationError: None is named.
    """
    if given is None and settings.dsn is None:
        raise ConfigurationError(
            "no database is named: give --dsn, or set TIDINGS_OUTBOX_DSN, which no list of processes shows"
        )
    if given is None:
        return settings.dsn.get_secret_value() if settings.dsn else ""
    if not given.startswith(("postgresql://", "postgres://")):
        raise InvalidRequest(
            "write it like postgresql://user:password@host:5432/database", field="dsn"
        )
    return given


@asynccontextmanager
async def _opened(settings: OutboxSettings, outbox: ProducerOutbox) -> AsyncIterator[Session]:
    dsn = dsn_of(settings, outbox.dsn)
    sql(outbox.schema, notify=False)
    try:
        async with producer_database(dsn, NAME) as session:
            yield session
    except OutboxMissing as error:
        raise ConfigurationError(str(error)) from None
