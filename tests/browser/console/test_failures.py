"""Failures, an edit, and jobs in a browser: how they look, and what needs scripts."""

from typing import Any

import pytest
from tests.browser.console.conftest import Desk, overflows, picture, violations
from tests.support.stored_dead_letters import store_dead_letter

pytestmark = pytest.mark.asyncio(loop_scope="session")

LONG = "5.1.1 The email account that you tried to reach does not exist, see support.example.com"


async def test_anybody_can_use_the_pages_at_any_width_in_any_light(desk: Desk) -> None:
    api = desk.rig.api
    ids = [await store_dead_letter(api, "3e6c7556e063", message=LONG) for _ in range(12)]
    await store_dead_letter(api, "aa77", message="mailbox full", reason="exhausted")
    await api.execute(
        "INSERT INTO dead_letter_group_notes (fingerprint, tenant, note, actor) VALUES ($1, '*', $2, 'console jane')",
        "3e6c7556e063",
        "The customer imports a list on Mondays; asked them to clean it, ticket 4711",
    )
    async with desk.sitting() as page:
        await page.goto("/console/failures/3e6c7556e063")
        await page.check("text=all 12 open ones")
        await page.click("button[value=replay]")
        await page.wait_for_url("**/console/jobs/*")
        waiting = page.url
        await page.goto("/console/failures/aa77")
        await page.check("text=all 1 open ones")
        await page.click("button[value=replay]")
        await page.click("main button.primary")
        await page.wait_for_selector("#undo")
        running = page.url
    pages = {
        "failures": "/console/failures",
        "group": "/console/failures/3e6c7556e063",
        "letter": f"/console/failures/letters/{ids[0]}",
        "edit": f"/console/failures/letters/{ids[0]}/edit",
        "confirm": waiting,
        "job": running,
        "jobs": "/console/jobs",
    }
    for scheme, width in (("light", 360), ("dark", 1280)):
        how: dict[str, Any] = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
        async with desk.sitting(**how) as page:
            for name, address in pages.items():
                await page.goto(address)
                assert not await overflows(page), (name, width)
                assert await violations(page) == [], (name, scheme, width)
                await picture(page, f"{name}-{scheme}-{width}")


async def test_dead_letters_are_found_ticked_edited_and_replayed_by_keys_alone(desk: Desk) -> None:
    ids = [str(await store_dead_letter(desk.rig.api, "bb88")) for _ in range(3)]
    async with desk.sitting() as page:
        await page.goto("/console/failures/bb88")
        for key in "jxjjx":
            await page.keyboard.press(key)
        assert await page.locator("[data-row] input:checked").count() == 2
        await page.keyboard.press("d")
        await page.keyboard.type("test data")
        await page.keyboard.press("Escape")
        await page.keyboard.press("r")
        await page.wait_for_url("**/console/jobs/*")
        assert "Replay 2 dead letters?" in await page.inner_text("h1")
        await page.keyboard.press("r")
        await page.wait_for_selector("#undo")
        first = await page.inner_text("[data-countdown]")
        await page.wait_for_function(
            "before => Number(document.querySelector('[data-countdown]').textContent) < before",
            arg=int(first),
        )
        await page.keyboard.press("z")
        await page.wait_for_selector("text=before it began, nothing was done")
        await page.goto("/console/failures/bb88")
        await page.keyboard.press("j")
        await page.keyboard.press("e")
        await page.wait_for_url("**/edit")
        assert any(id_ in page.url for id_ in ids)
        await page.fill("[name='field.recipient']", "nobody")
        await page.wait_for_selector("[data-problems] >> text=is not an email address")
        assert '"recipient": "nobody"' in await page.input_value("[name=raw]")
        assert await page.get_attribute("[name='field.recipient']", "aria-invalid") == "true"
        raw = await page.input_value("[name=raw]")
        await page.fill("[name=raw]", raw.replace("nobody", "ada@example.org"))
        await page.wait_for_selector("[data-changes] >> text=ada@example.org")
        assert await page.input_value("[name='field.recipient']") == "ada@example.org"
        await page.fill("[name=note]", "she called")
        await page.click("text=Store and send")
        await page.wait_for_url("**/console/jobs/*")
