"""Writes the items of a job with their results as CSV, piece by piece however many there are."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

from tidings.delivery.errors import NotFound
from tidings.delivery.id_prefix import IdPrefix
from tidings.ledger.jobs.rows import Job
from tidings.operations.backend import Backend
from tidings.operations.csv_rows import csv_rows
from tidings.operations.exports import begun
from tidings.operations.jobs.views import JobItemView

AT_ONCE: Final = 1_000
"""Items read and written at once."""
COLUMNS: Final = (
    "position",
    "item_id",
    "notification_id",
    "result",
    "outcome",
    "detail",
    "superseded_by_id",
)


async def results(
    backend: Backend, id: IdPrefix, *, tenant: str | None = None
) -> AsyncIterator[bytes]:
    """Begin to write all items of a job, in its order, each as it is when it is read.

    Raises:
        NotFound: There is no such job.
        ExportsBusy: Too many exports are under way.
        LedgerUnavailable: PostgreSQL is unavailable. Raised later too: what was written so far is not all.
    """
    found = await backend.ledger.jobs.resolve(id, tenant)
    job = await backend.ledger.jobs.get(found, tenant)
    if job is None:
        raise NotFound(f"there is no job {found}")
    return await begun(backend, _rows(backend, job))


async def _rows(backend: Backend, job: Job) -> AsyncGenerator[bytes, None]:
    head, after = csv_rows([COLUMNS]), 0
    while True:
        page = await backend.ledger.job_items.page(job, AT_ONCE, after=after)
        views = map(JobItemView.of, page)
        yield head + csv_rows([getattr(view, name) for name in COLUMNS] for view in views)
        if len(page) < AT_ONCE:
            return
        head, after = b"", page[-1].position
