"""An export begins at once, however far away what matches is."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

from tidings.ledger.notifications.filters import Filters
from tidings.ledger.notifications.search import Page
from tidings.operations.backend import Backend
from tidings.operations.exports import ExportRequest, export

EARLIER = datetime(2026, 11, 29, tzinfo=UTC)


async def test_an_export_begins_after_one_look_even_if_nothing_was_found() -> None:
    looks = 0

    async def list_(*_: Any, **__: Any) -> Page:
        nonlocal looks
        looks += 1
        return Page((), EARLIER if looks < 3 else None)

    backend = SimpleNamespace(
        exporting=0, ledger=SimpleNamespace(reports=SimpleNamespace(list=list_))
    )
    written = await export(cast(Backend, backend), ExportRequest(Filters()))
    assert looks == 1
    assert b"".join([part async for part in written]) == b""
    assert (looks, backend.exporting) == (3, 0)
