"""Notifications in a browser: readable at any width and in any light, and by keyboard alone."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.browser.console.conftest import Desk, overflows, picture, violations
from tests.support.attempts import attempt_of
from tests.support.ledger_rig import BOUNCE, RETRY, LedgerRig, record_of, request_of
from tests.support.submission_rig import mail

from tidings.delivery.attempt import Attempt
from tidings.delivery.outcome import Sent
from tidings.delivery.states import State

pytestmark = pytest.mark.asyncio(loop_scope="session")

MAIL: dict[str, Any] = {
    "subject": "Order 10042 has been shipped",
    "body": "Dear Ada,\n\nyour order is on its way.",
    "html": '<h1 style="color: red">On its way</h1><p>Dear <b>Ada</b>, <a href="https://shop.example/10042">follow it</a>.</p>'
    '<img src="https://spy.example/1.png" alt="A parcel"><script>steal()</script>',
    "category": "order-shipped",
    "user_id": "ada",
    "entity": {"type": "order", "id": "10042"},
}


async def failed(desk: Desk) -> Attempt:
    """A mail that failed at the second attempt, among others."""
    rig = LedgerRig(desk.rig.api.backend.ledger.database)
    sent = Sent("smtp:mail.example.com", "4711", "250 2.0.0")
    last = attempt_of(first_seen=datetime.now(UTC), **MAIL)
    for outcome in (sent, RETRY, BOUNCE):
        attempt = (
            attempt_of(first_seen=datetime.now(UTC), **MAIL) if outcome is not BOUNCE else last
        )
        await rig.claim(request_of(attempt, "worker a"))
        await rig.records.record([record_of(attempt, "worker a", outcome)])
    for state in (State.QUEUED, State.SENDING, State.SCHEDULED):
        await rig.put(attempt_of(channel="email", user_id="bob", test=False), state)
    return last


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
async def test_the_pages_fit_any_width_and_have_no_violations(
    desk: Desk, scheme: Any, width: int
) -> None:
    attempt = await failed(desk)
    key = await desk.rig.api.key("send")
    for user in ("ada", "bob"):
        await desk.rig.api.ask(
            "POST", "/v1/notifications", key, json=json.loads(mail(user_id=user))
        )
    async with desk.sitting(viewport={"width": width, "height": 800}, color_scheme=scheme) as page:
        await page.goto("/console/notifications?channel=email&state=failed&state=sent")
        assert not await overflows(page)
        assert await violations(page) == []
        await picture(page, f"notifications-{scheme}-{width}")
        await page.goto("/console/templates/preview?name=order-shipped")
        assert not await overflows(page)
        assert await violations(page) == []
        mail_shown = page.frame_locator("iframe.mail >> nth=0").locator("body")
        assert "left our warehouse" in await mail_shown.inner_text()
        await picture(page, f"template-{scheme}-{width}")
        await page.goto("/console/outbox")
        assert not await overflows(page)
        assert await violations(page) == []
        await picture(page, f"outbox-{scheme}-{width}")
        await page.goto("/console/people")
        await page.fill("#person", "ada@example.com")
        await page.keyboard.press("Enter")
        await page.wait_for_selector(".received")
        assert not await overflows(page)
        assert await violations(page) == []
        await picture(page, f"person-{scheme}-{width}")
        await page.goto(f"/console/notifications/{attempt.id}")
        assert not await overflows(page)
        assert await violations(page) == []
        await picture(page, f"notification-{scheme}-{width}")
        await page.keyboard.press("v")
        await page.wait_for_selector("iframe.mail")
        words = page.frame_locator("iframe.mail").locator("body")
        assert "follow it [https://shop.example/10042]" in await words.inner_text()
        assert "steal" not in await words.inner_text()
        assert not await overflows(page)
        assert await violations(page) == []
        await page.locator("iframe.mail").scroll_into_view_if_needed()
        await picture(page, f"notification-revealed-{scheme}-{width}")


async def test_by_keyboard_alone_one_is_found_opened_and_cancelled(desk: Desk) -> None:
    rig = LedgerRig(desk.rig.api.backend.ledger.database)
    await rig.put(attempt := attempt_of(user_id="cy", category="wrong"), State.RETRYING)
    async with desk.sitting() as page:
        await page.keyboard.press("g")
        await page.keyboard.press("n")
        await page.wait_for_url("**/console/notifications")
        await page.keyboard.press("/")
        await page.keyboard.type("user_id:cy")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/notifications?user_id=cy")
        await page.keyboard.press("j")
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**/notifications/{attempt.id}")
        await page.keyboard.press("c")
        await page.focus("#field-note")
        await page.keyboard.type("wrong customer")
        await page.keyboard.press("Enter")
        await page.wait_for_selector("text=Cancelled; it was retrying.")
    assert await rig.state(attempt.id) is State.CANCELLED
