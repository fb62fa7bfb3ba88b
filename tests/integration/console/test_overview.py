"""The first page says what is wrong, in numbers that lead to the lists behind them."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from tests.support.attempts import attempt_of
from tests.support.console_rig import ConsoleRig
from tests.support.ledger_rig import BOUNCE, RETRY, LedgerRig, record_of, request_of

from tidings.console.pages import overview
from tidings.delivery.outcome import Outcome, Sent

pytestmark = pytest.mark.asyncio(loop_scope="module")

SENT = Sent("smtp:relay", "4711", "250")
DEAD_LETTERS = """
INSERT INTO dead_letters (id, reason, kind, code, message, fingerprint, channel, tenant, first_failed_at, last_failed_at, body)
SELECT gen_random_uuid(), 'rejected', 'rejected', '550', 'no such user', $2, 'email', $1, now(), now(), ''
  FROM generate_series(1, 3)
"""


async def recorded(console: ConsoleRig, *outcomes: Outcome, **fields: object) -> None:
    ledger = LedgerRig(console.api.backend.ledger.database)
    attempts = [attempt_of(**fields) for _ in outcomes]
    await ledger.claim(*(request_of(attempt, str(attempt.id)) for attempt in attempts))
    records = [
        record_of(attempt, str(attempt.id), outcome)
        for attempt, outcome in zip(attempts, outcomes, strict=True)
    ]
    assert all(await ledger.records.record(records))


async def test_it_says_of_a_tenant_what_was_sent_failed_and_retried(console: ConsoleRig) -> None:
    tenant = f"t{uuid4().hex[:8]}"
    await recorded(console, SENT, SENT, SENT, BOUNCE, RETRY, tenant=tenant, category="receipt")
    group = uuid4().hex
    await console.api.execute(DEAD_LETTERS, tenant, group)
    person = await console.person("read", tenant=tenant)
    shown = await person.get("/?range=6h")
    assert f'<a href="/console/failures/{group}">3</a>' in shown.html
    assert "Sent 3" in shown.text
    assert "Failed 1" in shown.text
    assert "Retried 1" in shown.text
    assert "75 %" in shown.text
    outcomes = shown.html.partition('id="outcomes"')[2].partition("</section>")[0]
    rows = re.findall(
        r'label="Counted as">(\w+)<.*?"Outcome">([\w ]+)<.*?number">(\d+)<.*?href="/console([^"]*)"',
        outcomes,
        re.DOTALL,
    )
    assert [row[:3] for row in rows] == [
        ("Sent", "sent", "3"),
        ("Failed", "rejected", "1"),
        ("Retried", "first attempt", "1"),
    ]
    assert shown.html.count('<a href="#outcomes">') == 3  # the numbers lead to what they consist of
    assert rows[1][3] == "/failures?reason=rejected&amp;since=6h"
    assert "receipt" in shown.text
    assert "Open dead letters 3" in shown.text
    assert "3 new dead letters, email rejected 550: no such user" in shown.text
    assert shown.html.count("data-plot") == 3
    assert 'data-name="email"' in shown.html
    assert "The plots as tables" in shown.text
    assert "1 thing needs attention" in shown.text


async def test_overdue_leads_to_the_notifications_that_are(console: ConsoleRig) -> None:
    tenant = f"t{uuid4().hex[:8]}"
    await recorded(console, SENT, RETRY, tenant=tenant)
    due = "UPDATE notifications SET dispatch_at = now() - interval '2 minutes' WHERE tenant = $1 AND state = 'retrying'"
    await console.api.execute(due, tenant)
    person = await console.person("read", tenant=tenant)
    shown = await person.get("/")
    assert '<a href="/console/notifications?overdue=true">1</a>' in shown.html
    listed = await person.get("/notifications?overdue=true")
    assert listed.html.count("<tr data-row") == 1
    assert "retrying" in listed.text
    assert "tidings list --overdue" in listed.text
    assert "is unknown" in (await person.get("/notifications?overdue=perhaps")).text


async def test_limited_to_a_tenant_it_leaves_out_what_concerns_all_and_says_so(
    console: ConsoleRig,
) -> None:
    tenant = f"t{uuid4().hex[:8]}"
    person = await console.person("read", tenant=tenant)
    shown = await person.get("/")
    assert "Everything is delivering" in shown.text
    assert f"Of {tenant} alone" in shown.text
    for left_out in (
        "RabbitMQ",
        "Consumers",
        "Dispatching",
        "no scheduler",
        'href="/console/channels"',
    ):
        assert left_out not in shown.html


async def test_a_server_that_is_away_is_said_and_the_rest_is_shown(console: ConsoleRig) -> None:
    person = await console.person()
    shown = await person.get("/")
    assert shown.status == 200
    assert "need attention" in shown.text
    assert "RabbitMQ is unavailable, so nobody knows what is in the queues" in shown.text
    assert "no scheduler runs" in shown.text
    assert "Open dead letters" in shown.text


async def test_a_test_key_sees_the_numbers_of_tests_only(console: ConsoleRig) -> None:
    tenant = f"t{uuid4().hex[:8]}"
    await recorded(console, SENT, SENT, tenant=tenant)
    person = await console.person("read", tenant=tenant, test=True)
    assert "Sent 0" in (await person.get("/")).text


async def test_the_range_is_in_the_address_and_another_word_is_the_first_one(
    console: ConsoleRig,
) -> None:
    person = await console.person("read")
    for wanted, shown in (("30d", "30d"), ("7d", "7d"), ("", "1h"), ("<b>", "1h")):
        html = (await person.get(f"/?range={wanted}")).html
        assert re.findall(r'aria-current="true">(\w+)<', html) == [shown]


async def test_a_long_range_says_as_of_when_its_outcomes_are_and_a_short_one_is_read_anew(
    console: ConsoleRig,
) -> None:
    tenant = f"t{uuid4().hex[:8]}"
    person = await console.person("read", tenant=tenant)
    for wanted in ("1h", "24h"):
        assert "Sent 0" in (await person.get(f"/?range={wanted}")).text
    await recorded(console, SENT, tenant=tenant)
    hour, day = await person.get("/?range=1h"), await person.get("/?range=24h")
    assert ("Sent 1" in hour.text, "as of" in hour.text) == (True, False)
    assert ("Sent 0" in day.text, "the last 24h: as of" in day.text) == (True, True)


@asynccontextmanager
async def locked(console: ConsoleRig) -> AsyncIterator[None]:
    """Whoever reads outcomes waits."""
    async with console.api.backend.ledger.database.transaction() as connection:
        await connection.execute("LOCK TABLE outcome_rollups IN ACCESS EXCLUSIVE MODE")
        yield


async def test_while_postgresql_is_busy_it_shows_the_numbers_of_a_moment_ago_and_says_so(
    console: ConsoleRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = f"t{uuid4().hex[:8]}"
    person = await console.person("read", "operate", tenant=tenant)
    assert "Sent 0" in (await person.get("/")).text
    between = datetime.now(UTC)
    await recorded(console, SENT, tenant=tenant)
    monkeypatch.setattr(overview, "SOON", 0.05)
    monkeypatch.setattr(overview, "LATE", timedelta(0))
    async with locked(console):
        busy = await person.get("/")
    at = re.search(r'As of <time datetime="([^"]+)"', busy.html)
    assert at is not None
    assert datetime.fromisoformat(at[1]) < between
    assert "Sent 0" in busy.text
    monkeypatch.setattr(overview, "SOON", 20.0)
    monkeypatch.setattr(overview, "LATE", timedelta(seconds=20))
    later = await person.get("/")
    assert ("Sent 1" in later.text, "is busy" in later.text) == (True, False)


async def test_who_has_done_something_sees_no_numbers_of_before(
    console: ConsoleRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = f"t{uuid4().hex[:8]}"
    person = await console.person(tenant=tenant)
    assert "Sent 0" in (await person.get("/")).text
    await recorded(console, SENT, tenant=tenant)
    monkeypatch.setattr(overview, "SOON", 0.001)
    await person.send("/failures/find")
    async with locked(console):
        looking = asyncio.create_task(person.get("/"))
        await asyncio.sleep(0.1)  # so long what was seen last would have been good enough
    assert "Sent 1" in (await looking).text
