"""Notifications whose message was lost are looked for range by range: no statement reads the whole table."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.ledger_rig import LedgerRig

from tidings.delivery.states import State
from tidings.ledger.notifications import requeue
from tidings.ledger.notifications.requeue import Requeues, newest_first

ROWS = 2_000
FILL = """
INSERT INTO notifications (id, channel, priority, category, recipient, state, epoch, attempt, body, accepted_at, updated_at)
SELECT gen_random_uuid(), CASE n % 2 WHEN 0 THEN 'email' ELSE 'sms' END, 'normal', 'welcome', 'somebody', 'queued', 0, 1,
       sha512(n::text::bytea) || sha512(n::text::bytea), now(), now() - interval '1 hour'
  FROM generate_series(1, $1::int) AS n
"""
WAITING = (State.QUEUED, State.RETRYING, State.SENDING)
ENDED = (State.FAILED, State.EXPIRED, State.UNKNOWN)


@pytest.fixture
async def requeues(ledger_alone: LedgerRig, monkeypatch: pytest.MonkeyPatch) -> Requeues:
    """With many waiting for too long, on many times the pages that are read at once."""
    monkeypatch.setattr(requeue, "RANGE", 16)
    await ledger_alone.execute(FILL, ROWS)
    await ledger_alone.execute("ANALYZE notifications")
    found = Requeues(ledger_alone.database, after=900.0)
    assert await found.pages() > 3 * 16
    return found


def scans(plan: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if "Relation Name" in plan:
        yield plan["Relation Name"], plan["Node Type"]
    for part in plan.get("Plans", ()):
        yield from scans(part)


@pytest.mark.parametrize(
    ("statement", "arguments"),
    [
        (requeue.FIND, (["email"], ["normal"], [900.0], 900.0, 900.0, 500)),
        (requeue.SELECT, ([*WAITING, *ENDED], "email", 900.0, 10_000, None)),
    ],
    ids=["FIND", "SELECT"],
)
async def test_a_statement_scans_a_range_of_pages_and_never_the_whole_table(
    requeues: Requeues, ledger_alone: LedgerRig, statement: str, arguments: tuple[object, ...]
) -> None:
    first, past = next(newest_first(await requeues.pages()))
    [row] = await ledger_alone.fetch(
        f"EXPLAIN (FORMAT JSON) {statement}", (first, 0), (past, 0), *arguments
    )
    [explained] = json.loads(row["QUERY PLAN"])
    kinds = {kind for table, kind in scans(explained["Plan"]) if table == "notifications_default"}
    assert kinds == {"Tid Range Scan"}


async def test_all_ranges_together_are_the_whole_table(requeues: Requeues) -> None:
    found = await requeues.select(WAITING, None, 900.0, 10_000)
    assert len({notification.id for notification in found}) == len(found) == ROWS
    assert [notification.id for notification in found] == sorted(
        notification.id for notification in found
    )
    of_sms = await requeues.select(WAITING, "sms", 900.0, 10_000)
    assert {notification.channel for notification in of_sms} == {"sms"}
    assert len(of_sms) == ROWS // 2
    assert await requeues.select(WAITING, None, 900.0, 10_000, tenant="acme") == []
    assert await requeues.select(ENDED, None, 900.0, 10_000) == []
    assert await requeues.select(WAITING, None, 7_200.0, 10_000) == []


async def test_a_limit_takes_the_newest_pages(requeues: Requeues, ledger_alone: LedgerRig) -> None:
    found = await requeues.select(WAITING, None, 900.0, 300)
    assert len(found) == 300
    [row] = await ledger_alone.fetch(
        "SELECT count(DISTINCT (ctid::text::point)[0]::int / 16) AS ranges, min((ctid::text::point)[0]) AS oldest"
        "  FROM notifications WHERE id = ANY($1)",
        [notification.id for notification in found],
    )
    assert row["ranges"] > 1
    assert row["oldest"] >= await requeues.pages() / 2


def test_ranges_meet_and_leave_no_page_out() -> None:
    pages = 3 * requeue.RANGE + 7
    ranges = list(newest_first(pages))
    assert [page for first, past in reversed(ranges) for page in range(first, past)] == list(
        range(pages)
    )
    assert list(newest_first(0)) == []
