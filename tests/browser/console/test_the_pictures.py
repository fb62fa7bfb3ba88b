"""The pictures of docs/console.md: taken of a day of a shop, and written into docs/ with `make pictures`."""

import os
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Page
from tests.browser.console.conftest import PICTURES, Desk
from tests.browser.console.story import tell

pytestmark = pytest.mark.asyncio(loop_scope="session")

FOLDER: Final = Path("docs/console") if os.environ.get("WRITE_PICTURES") else PICTURES / "docs"


async def shot(page: Page, name: str) -> None:
    await page.evaluate("scrollTo(0, 0)")
    await page.screenshot(path=FOLDER / f"{name}.png")


async def test_the_pages_of_the_guide_show_a_day_of_a_shop(desk: Desk) -> None:
    await tell(desk.rig)
    async with desk.sitting(viewport={"width": 1280, "height": 860}, color_scheme="light") as page:
        await page.goto("/console/?range=1h")
        await page.wait_for_selector("text=twilio")
        await shot(page, "overview")
        await page.goto("/console/failures")
        assert await page.inner_text("h1") == "Failures"
        await shot(page, "failures")
        await page.click("text=mailbox unavailable")
        await shot(page, "group")
        await page.click("[data-row] a")
        await shot(page, "dead-letter")
    async with desk.sitting(viewport={"width": 1280, "height": 860}, color_scheme="dark") as page:
        await page.goto("/console/notifications?state=failed&channel=sms")
        await page.click("[data-row] a")
        await shot(page, "notification")
