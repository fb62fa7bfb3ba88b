"""The page of `make run` in a browser: sent, received, offline and back, at both widths, under its strict policy."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tidings_local.laptop import Laptop

PATIENCE = 15_000
"""Milliseconds until something is shown."""


@asynccontextmanager
async def opened(browser: Browser, url: str, width: int, scheme: str) -> AsyncIterator[Page]:
    """The page; nothing in it may have failed, or have been forbidden by its policy."""
    context = await browser.new_context(viewport={"width": width, "height": 900})
    page = await context.new_page()
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda line: faults.append(line.text) if line.type == "error" else None)
    await page.goto(url)
    for user in ("Ada", "Grace"):
        status = page.frame_locator(f'[title="Inbox of {user}"]').locator("#status")
        await expect(status).to_have_text("live", timeout=PATIENCE)
    yield page
    assert [fault for fault in faults if "422" not in fault] == []  # what the form may refuse
    await context.close()


async def overflow(page: Page) -> int:
    """How many pixels the page scrolls sideways."""
    return int(await page.evaluate("document.documentElement.scrollWidth - innerWidth"))


@pytest.mark.timeout(120)
@pytest.mark.asyncio(loop_scope="session")
async def test_two_inboxes_live_side_by_side(
    broker_url: str, database_url: str, tmp_path: Path, browser: Browser
) -> None:
    given = {"TIDINGS_AMQP_URL": broker_url, "TIDINGS_DATABASE_URL": database_url}
    async with Laptop(tmp_path, given) as laptop:
        await laptop.start_roles()
        async with opened(browser, laptop.inbox.url, 1280, "light") as page:
            await check_sending(page)
            await check_going_offline(page)
            assert await overflow(page) <= 0
            link = page.locator("#log a").first
            await page.goto(f"{laptop.inbox.url}{(await link.get_attribute('href') or '')[1:]}")
            await expect(page.locator("pre")).to_contain_text("State     SENT")
        async with opened(browser, laptop.inbox.url, 360, "dark") as page:
            assert await overflow(page) <= 0
            ada = page.frame_locator('[title="Inbox of Ada"]')
            await expect(ada.locator(".message").first).to_be_visible()


async def check_sending(page: Page) -> None:
    ada = page.frame_locator('[title="Inbox of Ada"]')
    grace = page.frame_locator('[title="Inbox of Grace"]')
    await page.click('[data-kind="invited"]')
    invitation = ada.locator("#inbox .message", has_text="Linus invites you")
    await expect(invitation).to_be_visible(timeout=PATIENCE)
    await invitation.get_by_text("Accept").click()
    await expect(ada.locator("#event")).to_have_text("tidings-action  accept")
    await expect(page.locator("#log pre").first).to_contain_text('"label": "Accept"')
    await page.check('[value="grace"]')
    await page.check('[value="amqp"]')
    await page.click('[data-kind="many"]')
    await expect(grace.locator("#bell .badge")).to_have_text("50", timeout=PATIENCE)
    await page.check('[value="ada"]')
    await page.fill('[name="title"]', "x")
    await page.fill('[name="action_url"]', "javascript:alert(1)")
    await page.click(".send")
    await expect(page.locator("#outcome")).to_contain_text("is not a link", timeout=PATIENCE)


async def check_going_offline(page: Page) -> None:
    ada = page.frame_locator('[title="Inbox of Ada"]')
    await ada.locator("label.switch").click()
    await expect(ada.locator("#status")).to_have_text("offline: network", timeout=PATIENCE)
    await page.click('[data-kind="critical"]')
    await expect(page.locator("#outcome")).to_contain_text("Accepted", timeout=PATIENCE)
    warned = ada.locator("#inbox .message", has_text="New login")
    await expect(warned).to_have_count(0)
    await ada.locator("label.switch").click()
    await expect(warned).to_be_visible(timeout=PATIENCE)
    await expect(ada.locator("#status")).to_have_text("live", timeout=PATIENCE)
