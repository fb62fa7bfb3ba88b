"""The pages with which the service is operated: at any width, in any light; and what needs scripts."""

from typing import Any
from uuid import uuid4

import pytest
from tests.browser.console.conftest import Desk, overflows, picture, violations
from tests.support.attempts import attempt_of
from tests.support.ledger_rig import BOUNCE, RETRY, LedgerRig, record_of, request_of

from tidings.delivery.outcome import Sent
from tidings.operations import schedules
from tidings.operations.actor import Actor
from tidings.operations.schedules import CreateScheduleRequest

pytestmark = pytest.mark.asyncio(loop_scope="session")

SENT = Sent("smtp:relay", "4711", "250")
DEAD_LETTERS = """
INSERT INTO dead_letters (id, reason, kind, code, message, fingerprint, channel, tenant, first_failed_at, last_failed_at,
                          dead_lettered_at, body)
SELECT gen_random_uuid(), 'rejected', 'rejected', '550', 'no such user here, says the relay', 'aa' || n % 3, 'email', 'shop',
       now(), now(), now() - n * interval '31 minutes', ''
  FROM generate_series(1, 40) AS n
"""
OUTCOMES = """
INSERT INTO outcome_deltas (minute, tenant, channel, category, outcome, provider, kind, bucket, count, attempts, first_attempts)
SELECT date_trunc('minute', now()) - n * interval '1 minute', 'shop', channel, category, outcome, 'primary', '', bucket,
       share * (20 + n % 13 + 10 * (n % 7)), share * (20 + n % 13), share * (20 + n % 13)
  FROM generate_series(1, 60) AS n,
       (VALUES ('email', 'receipt', 'sent', 16, 5), ('sms', 'otp', 'sent', 22, 2), ('webhook', 'order', 'sent', 10, 3),
               ('email', 'receipt', 'rejected', -1, 1), ('sms', 'otp', 'retry_later', -1, 1))
    AS of (channel, category, outcome, bucket, share)
"""
DOWN = """
INSERT INTO circuits (channel, provider, worker, phase, reason, since, probe_at, seen_at)
VALUES ('sms', 'primary', 'w1', 'open', 'no answer from api.twilio.com within 10s', now() - interval '7 minutes', now() + interval '40 seconds',
        now() + interval '1 hour')
"""
PAGES = ("", "channels", "schedules", "audit", "keys", "settings", "health")


async def busy(desk: Desk) -> str:
    """Something of everything, and the path of a schedule."""
    api = desk.rig.api
    if not await api.fetch("SELECT FROM circuits"):
        for statement in (DEAD_LETTERS, OUTCOMES, DOWN):
            await api.execute(statement)
    ledger = LedgerRig(api.backend.ledger.database)
    attempts = [attempt_of(tenant="shop", category="receipt") for _ in range(3)]
    await ledger.claim(*(request_of(attempt, str(attempt.id)) for attempt in attempts))
    outcomes = zip(attempts, (SENT, BOUNCE, RETRY), strict=True)
    await ledger.records.record(
        [record_of(attempt, str(attempt.id), outcome) for attempt, outcome in outcomes]
    )
    view = await schedules.create(
        api.backend,
        Actor("cli", "tester@desk"),
        CreateScheduleRequest(
            f"weekly-{uuid4().hex[:6]}",
            {"channel": "email", "subject": "Report", "body": "All is well."},
            ["ada@example.com"],
            "30 9 * * MON-FRI",
            "Europe/Berlin",
            tenant="shop",
        ),
    )
    return f"schedules/{view.schedule.id}"


@pytest.mark.timeout(120)
async def test_every_page_can_be_used_at_any_width_in_any_light(desk: Desk) -> None:
    schedule, wrong = await busy(desk), dict[object, object]()
    async with desk.sitting() as page:
        for path in (*PAGES, schedule):
            await page.goto(f"/console/{path}")
            name = path.split("/")[0] + ("-one" if "/" in path else "") or "overview-busy"
            for scheme, width in SCREENS:
                await page.set_viewport_size({"width": width, "height": 800})
                await page.emulate_media(color_scheme=scheme)
                if await overflows(page):
                    wrong[path, width] = "scrolls sideways"
                if found := await violations(page):
                    wrong[path, scheme] = found
                await picture(page, f"{name}-{scheme}-{width}")
    assert wrong == {}


SCREENS: Any = (("light", 1280), ("dark", 360))


async def test_the_numbers_below_the_pointer_are_told_and_checks_load_by_themselves(
    desk: Desk,
) -> None:
    await busy(desk)
    async with desk.sitting() as page:
        plot = page.locator("[data-plot]").first
        await plot.hover()
        readout = page.locator(".readout").first
        assert "email" in await readout.inner_text()
        assert "sms" in await readout.inner_text()
        await page.keyboard.press("g")
        await page.keyboard.press("h")
        await page.wait_for_url("**/console/health")
        await page.locator("#checks table").wait_for()
        assert "PostgreSQL" in await page.inner_text("#checks")
