"""Exports of the notifications that match, as NDJSON or CSV, written piece by piece however many there are."""

import csv
import io
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any, Final

from tidings.delivery.errors import Refused
from tidings.ledger.notifications.filters import Filters
from tidings.ledger.notifications.search import Bounds
from tidings.operations.backend import Backend
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
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""The beginnings of what a spreadsheet takes for a formula (OWASP, CSV injection)."""


class Format(StrEnum):
    """What is written."""

    NDJSON = "ndjson"
    """A JSON object a line."""
    CSV = "csv"
    """RFC 4180, with a header."""

    @property
    def media_type(self) -> str:
        """For Content-Type."""
        return "application/x-ndjson" if self is Format.NDJSON else "text/csv; charset=utf-8"


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
    parts = _counted(backend, request)
    return _joined(await anext(parts, b""), parts)


async def _joined(first: bytes, parts: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    async with aclosing(parts):
        if first:
            yield first
        async for part in parts:
            yield part


async def _counted(backend: Backend, request: ExportRequest) -> AsyncGenerator[bytes, None]:
    if backend.exporting >= MOST:
        raise ExportsBusy
    backend.exporting += 1  # nothing is awaited between: those that arrive together see each other
    try:
        async for part in _all(backend, request):
            yield part
    finally:
        backend.exporting -= 1


async def _all(backend: Backend, request: ExportRequest) -> AsyncIterator[bytes]:
    """Write all that match and were accepted before now. What changes meanwhile is written as it is when it is read.

    Raises:
        LedgerUnavailable: PostgreSQL is unavailable; what was written so far is not all.
    """
    now = datetime.now(UTC)
    filters = replace(request.filters, until=min(request.filters.until or now, now))
    bounds, after = Bounds(patience=0, step=STEP), None
    head = _csv([COLUMNS]) if request.format is Format.CSV else b""
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
    return _csv([_cell(row[name]) for name in COLUMNS] for row in rows)


def _csv(rows: Iterable[Iterable[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode("utf-8", "backslashreplace")


def _cell(value: object) -> str:
    """A cell that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    text = value.isoformat() if isinstance(value, date) else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
