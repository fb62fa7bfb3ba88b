"""Failures in a browser: by keys alone, and what is checked while one types."""

import asyncio

import pytest
from playwright.async_api import Route
from tests.browser.console.conftest import Desk
from tests.support.stored_dead_letters import store_dead_letter

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_dead_letters_are_found_ticked_edited_and_replayed_by_keys_alone(desk: Desk) -> None:
    ids = [str(await store_dead_letter(desk.rig.api, "bb88")) for _ in range(3)]
    async with desk.sitting() as page:
        await page.goto("/console/failures")
        await page.fill("#bulk-note", "test data")
        written = {"key": "Enter", "isComposing": True, "bubbles": True}  # a word of Japanese
        await page.dispatch_event("#bulk-note", "keydown", written)
        assert await page.get_attribute("#bulk", "data-sent") is None
        await page.keyboard.press("Enter")  # what is beside the field, not the form's first button
        await page.wait_for_url("**/console/jobs/*")
        assert "Discard" in await page.inner_text("h1")
        await page.goto("/console/failures/bb88")
        for key in ("j", "x", "d", *"test", "Enter"):
            await page.keyboard.press(key)
        await page.wait_for_url("**/console/jobs/*")
        assert "Discard 1 dead letter?" in await page.inner_text("h1")
        await page.goto("/console/failures/bb88")
        await page.check("[name=which][value=all]")
        await page.keyboard.press("r")  # a choice is no text
        await page.wait_for_url("**/console/jobs/*")
        assert "Replay 3 dead letters?" in await page.inner_text("h1")
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


async def test_what_has_the_focus_stays_in_sight_when_a_difference_appears(desk: Desk) -> None:
    dead_letter = await store_dead_letter(desk.rig.api, "cc99")
    released, height = asyncio.Event(), 500
    async with desk.sitting(viewport={"width": 1280, "height": height}) as page:
        await page.route("**/check", lambda route: _after(released, route))
        await page.goto(f"/console/failures/dead-letters/{dead_letter}/edit")
        await page.fill("[name='field.recipient']", "nobody")
        await page.focus("[value=check]")
        await page.eval_on_selector("[value=check]", "(it) => it.scrollIntoView({ block: 'end' })")
        released.set()
        await page.wait_for_selector("[data-problems] >> text=is not an email address")
        bottom = "(it) => it.getBoundingClientRect().bottom"
        assert await page.eval_on_selector("[value=check]", bottom) <= height


async def _after(event: asyncio.Event, route: Route) -> None:
    await event.wait()
    await route.continue_()
