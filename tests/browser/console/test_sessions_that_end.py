"""A session that ends while its page is open: the page says so, and nothing that was typed is lost."""

import pytest
from playwright.async_api import Page, expect
from tests.browser.console.conftest import Desk

pytestmark = pytest.mark.asyncio(loop_scope="session")

IDLE = """
UPDATE console_sessions SET last_used_at = now() - $1::float8 * interval '1 second' RETURNING last_used_at
"""
LOOKED_AT = "document.dispatchEvent(new Event('visibilitychange'))"


async def look_again(page: Page) -> None:
    """Come back to a tab, and wait until it has fetched its page again."""
    async with page.expect_response("**/console/"):
        await page.evaluate(LOOKED_AT)


async def test_an_open_page_keeps_no_session_alive_and_says_when_it_is_old_or_over(
    desk: Desk,
) -> None:
    api = desk.rig.api
    async with desk.sitting("read") as page:
        [before] = await api.fetch(IDLE, 3_000.0)
        await look_again(page)
        [after] = await api.fetch("SELECT last_used_at FROM console_sessions")
        assert after == before
        await page.route("**/console/", lambda route: route.abort())
        await page.evaluate(LOOKED_AT)
        await expect(page.locator("#stale")).to_contain_text("Not updated since")
        await page.unroute("**/console/")
        await page.evaluate(LOOKED_AT)
        await expect(page.locator("#stale")).to_be_hidden()
        await api.fetch(IDLE, 4_000.0)
        await page.evaluate(LOOKED_AT)
        await page.get_by_text("Your session has ended: sign in again.").wait_for()
