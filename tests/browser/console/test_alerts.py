"""Alerts in a browser: readable at any width and in any light, and by keyboard alone."""

from typing import Any

import pytest
from tests.browser.console.conftest import Desk, overflows, picture, violations
from tests.support.paging import paging

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    # Apprise loads a hundred services, some of them older than Python.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning"),
]

BROKEN = """
INSERT INTO alert_rules (id, tenant, name, watch, threshold, lasting, every, url, created_by, updated_by, counted_from, error, failing_since, last_alert_at)
VALUES (gen_random_uuid(), 'shop', 'relay of the shop', 'schedules', 1, 300, 3600, 'slack://T1/B2/token', 'jane', 'jane', now(),
        'Failed to send Slack notification: Forbidden, error=403.', now() - interval '3 hours', now() - interval '2 days')
ON CONFLICT DO NOTHING
"""


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
async def test_a_rule_is_made_and_tried_out_at_any_width(
    desk: Desk, scheme: Any, width: int
) -> None:
    await desk.rig.api.execute(BROKEN)
    async with (
        paging() as pager,
        desk.sitting(viewport={"width": width, "height": 800}, color_scheme=scheme) as page,
    ):
        await page.goto("/console/alerts")
        await page.keyboard.press("c")
        await page.wait_for_url("**/alerts/new")
        assert not await overflows(page)
        assert await violations(page) == []
        await page.fill("[name=name]", f"one-time passwords {width}")
        await page.fill("[name=category]", "otp")
        await page.fill("[name=threshold]", "10")
        await page.fill("[name=url]", pager.url)
        await picture(page, f"alert-edit-{scheme}-{width}")
        await page.click("button.primary")
        await page.wait_for_selector("text=The rule was made")
        await page.keyboard.press("t")
        await page.wait_for_selector("text=The test was sent")
        assert pager.alerts[0]["title"] == "Tidings: test"
        assert not await overflows(page)
        assert await violations(page) == []
        await picture(page, f"alert-{scheme}-{width}")
        await page.keyboard.press("u")
        await page.wait_for_url("**/alerts")
        assert not await overflows(page)
        assert await violations(page) == []
        await picture(page, f"alerts-{scheme}-{width}")
