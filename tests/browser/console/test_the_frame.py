"""What every page of the console has: navigation, keys, themes; at any width, and for everybody."""

from typing import Any

import pytest
from tests.browser.console.conftest import Desk, overflows, picture, violations

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
async def test_anybody_can_use_it_at_any_width_in_any_light(
    desk: Desk, scheme: Any, width: int
) -> None:
    async with desk.sitting(viewport={"width": width, "height": 800}, color_scheme=scheme) as page:
        assert not await overflows(page)
        assert await violations(page) == []
        await picture(page, f"overview-{scheme}-{width}")


async def test_g_and_a_letter_go_somewhere_and_a_question_mark_tells_the_keys(desk: Desk) -> None:
    async with desk.sitting() as page:
        await page.keyboard.press("?")
        await page.wait_for_selector("#help[open]")
        assert "g o Go to Overview" in " ".join((await page.inner_text("#help")).split())
        await page.keyboard.press("Escape")
        await page.keyboard.press("g")
        await page.keyboard.press("o")
        await page.wait_for_url("**/console/")


async def test_the_theme_that_is_chosen_stays(desk: Desk) -> None:
    async with desk.sitting(color_scheme="light") as page:
        await page.click(".user-menu summary")
        await page.click("text=Dark")
        ground = "getComputedStyle(document.documentElement).backgroundColor"
        assert await page.evaluate(ground) == "rgb(18, 21, 26)"
        await page.reload()
        assert await page.evaluate(ground) == "rgb(18, 21, 26)"
