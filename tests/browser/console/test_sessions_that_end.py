"""A session that ends while its page is open: the page says so, and nothing that was typed is lost."""

import pytest
from playwright.async_api import Page, expect
from tests.browser.console.conftest import Desk, violations
from tests.support.stored_dead_letters import store_dead_letter

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
        # What was shown by the script stays shown.
        assert await page.eval_on_selector("main [data-copy]", "(it) => it.hidden") is False
        await page.route("**/console/", lambda route: route.abort())
        await page.evaluate(LOOKED_AT)
        await expect(page.locator("#stale")).to_contain_text("Not updated since")
        await page.unroute("**/console/")
        await page.evaluate(LOOKED_AT)
        await expect(page.locator("#stale")).to_be_hidden()
        await api.fetch(IDLE, 4_000.0)
        await page.evaluate(LOOKED_AT)
        await page.get_by_text("Your session has ended: sign in again.").wait_for()


async def test_an_edit_survives_the_end_of_its_session_and_waits_for_a_click(desk: Desk) -> None:
    api = desk.rig.api
    id_ = await store_dead_letter(api, "5e59", "default")
    async with desk.sitting(refused=401) as page:
        await page.goto(f"/console/failures/dead-letters/{id_}/edit")
        await api.execute("DELETE FROM console_sessions")
        await page.fill("[name='field.subject']", "Typed before it ended")
        await page.get_by_text("Press Check to go on: what you typed is kept.").wait_for()
        await page.click("button[value=check]")
        await page.get_by_role("link", name="Sign in in another tab").wait_for()
        assert await violations(page) == []
        async with page.context.expect_page() as opened:
            await page.get_by_role("link", name="Sign in in another tab").click()
        tab = await opened.value
        await tab.fill("[name=key]", await api.key(name="jane"))
        await tab.click("button.primary")
        await tab.wait_for_url("**/console/")
        await tab.close()
        await page.get_by_role("button", name="Go on").click()
        await page.get_by_text("Your session had ended, so nothing was done.").wait_for()
        assert await page.input_value("[name='field.subject']") == "Typed before it ended"
        assert await violations(page) == []
