"""Exports of the notifications that match, as NDJSON or CSV, written piece by piece however many there are."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from tidings.delivery.errors import Refused
from tidings.ledger.notifications.filters import Filters
from tidings.ledger.notifications.search import Bounds
from tidings.operations.backend import Backend
from tidings.operations.csv_rows import MEDIA_TYPE, csv_rows
from tidings.operations.json_views import as_bytes
from tidings.operations.notification_json import summary_as_data
from tidings.operations.notifications import ListedView

AT_ONCE: Final = 500
"""Notifications read and written at once: 10 ms in which a process does nothing else."""
MOST: Final = 2
"""Exports that one process writes at the same time: each keeps one connection to PostgreSQL busy."""
STEP: Final = 10_000
"""Notifications looked through at once, where no index leads to those that match."""
COLUMNS: Final = (
    *("id", "tenant", "channel", "priority", "category", "recipient", "user_id"),
    *(
        "entity_type",
        "entity_id",
        "state",
        "epoch",
        "attempt_count",
        "accepted_at",
        "first_read_at",
    ),
    *("updated_at", "finished_at", "scheduled_at", "expires_at", "provider", "reference"),
    *("reason", "error_class", "error_code", "error_message", "duplicate_of", "producer"),
)
"""Columns of a CSV export."""


class Format(StrEnum):
    """What is written."""

    NDJSON = "ndjson"
    """A JSON object a line."""
    CSV = "csv"
    """RFC 4180, with a header."""

    @property
    def media_type(self) -> str:
        """For Content-Type."""
        return "application/x-ndjson" if self is Format.NDJSON else MEDIA_TYPE


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """The notifications to export, newest first."""

    filters: Filters
    format: Format = Format.NDJSON
    reveal: bool = False
    """Write recipients."""


class ExportsBusy(Refused):
    """As many exports are under way as one process writes at the same time."""

    def __init__(self) -> None:
        super().__init__("other exports are under way; try again when one has ended")


async def export(backend: Backend, request: ExportRequest) -> AsyncIterator[bytes]:
    """Begin to write all that match, unless others write theirs; the first part has been read then.

    It is under way until all is read, or the iterator is closed or dropped.

    Raises:
        ExportsBusy: Too many are under way.
        LedgerUnavailable: PostgreSQL is unavailable. Raised later too: what was written so far is not all.
    """
    return await begun(backend, _all(backend, request))


async def begun(backend: Backend, parts: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    """Begin any export: its first part has been read then. Raises like `export`.

    Args:
        backend: The connections.
        parts: What is written, piece by piece.
    """
    counted = _counted(backend, parts)
    return _joined(await anext(counted, b""), counted)


async def _joined(first: bytes, parts: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    async with aclosing(parts):
        if first:
            yield first
        async for part in parts:
            yield part


async def _counted(
    backend: Backend, parts: AsyncGenerator[bytes, None]
) -> AsyncGenerator[bytes, None]:
    if backend.exporting >= MOST:
        raise ExportsBusy
    backend.exporting += 1  # nothing is awaited between: those that arrive together see each other
    try:
        async with aclosing(parts):
            async for part in parts:
                yield part
    finally:
        backend.exporting -= 1


async def _all(backend: Backend, request: ExportRequest) -> AsyncGenerator[bytes, None]:
    """Write all that match and were accepted before now. What changes meanwhile is written as it is when it is read.

    Raises:
        LedgerUnavailable: PostgreSQL is unavailable; what was written so far is not all.
    """
    now = datetime.now(UTC)
    filters = replace(request.filters, until=min(request.filters.until or now, now))
    bounds, after = Bounds(patience=0, step=STEP), None
    head = csv_rows([COLUMNS]) if request.format is Format.CSV else b""
    while True:
        page = await backend.ledger.reports.list(filters, AT_ONCE, after=after, bounds=bounds)
        views = [ListedView.of(found, "", reveal=request.reveal) for found in page.found]
        part = head + _written(views, request.format)
        if (
            part or after is None
        ):  # the first even if it is empty: the reply begins, however rare what matches is
            yield part
        after, head = page.next(AT_ONCE), b""
        if after is None:
            return


def _written(views: Iterable[ListedView], format_: Format) -> bytes:
    rows = [summary_as_data(view.summary) for view in views]
    if format_ is Format.NDJSON:
        return b"".join(as_bytes(row) + b"\n" for row in rows)
    return csv_rows([row[name] for name in COLUMNS] for row in rows)
