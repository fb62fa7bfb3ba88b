"""The console in a real Chromium: people with roles of their own, in windows of any size."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page
from tests.conftest import fresh_database
from tests.support.console_rig import ConsoleRig, console_serving
from tests.support.inbox_component import node_modules

from tidings.settings import Settings
from tidings.templates import STARTER

PATIENCE = 15_000
PICTURES = Path(".local/pictures")
"""What the tests have seen, for people to look at: a tenth of their CPU, so only when asked for."""


class Desk:
    """A browser and the console."""

    def __init__(self, browser: Browser, rig: ConsoleRig) -> None:
        self.browser = browser
        self.rig = rig

    @asynccontextmanager
    async def sitting(
        self, *scopes: str, key: str = "", refused: int = 0, **how: Any
    ) -> AsyncIterator[Page]:
        """Somebody signed in, with a key of these scopes or of all; no script of the page may have failed at the end.

        Args:
            scopes: Of the key.
            key: Another key.
            refused: The status that scripts of the page get on purpose.
            how: Of the browser's context: `viewport`, `color_scheme`, `java_script_enabled` …
        """
        how.setdefault("viewport", {"width": 1280, "height": 800})
        context = await self.browser.new_context(base_url=self.rig.origin, **how)
        context.set_default_timeout(PATIENCE)
        page = await context.new_page()
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "console",
            lambda message: (
                faults.append(message.text)
                if message.type == "error" and "Failed to load resource" not in message.text
                else None
            ),
        )
        page.on(
            "response",
            lambda response: (
                faults.append(response.url)
                if response.status >= 400
                and response.status != refused
                and response.request.resource_type != "document"
                else None
            ),
        )
        try:
            await page.goto("/console/sign-in")
            await page.fill("[name=key]", key or await self.rig.api.key(*scopes, name="jane"))
            await page.click("button.primary")
            await page.wait_for_url("**/console/")
            yield page
            assert faults == []
        finally:
            await context.close()


async def violations(page: Page, *rules: str) -> list[str]:
    """What axe-core finds wrong with a page, by these of its rules or by all."""
    await page.emulate_media(reduced_motion="reduce")  # what is half faded in has less contrast
    if not await page.evaluate("'axe' in window"):  # half a megabyte of script
        await page.evaluate((node_modules() / "axe-core" / "axe.min.js").read_text("utf-8"))
    how = {"resultTypes": ["violations"], "preload": False}  # no rule needs styles read twice
    only = {"runOnly": {"type": "rule", "values": rules}} if rules else {}
    found = await page.evaluate(
        "async (how) => (await axe.run(document, how)).violations", {**how, **only}
    )
    return [
        f"{it['id']}: {node['target']} {node['failureSummary']}"
        for it in found
        for node in it["nodes"]
    ]


async def overflows(page: Page) -> bool:
    """Whether the page has to be scrolled sideways."""
    return bool(
        await page.evaluate(
            "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        )
    )


async def squeezed(page: Page) -> list[str]:
    """Texts that have so little room that they stand upright, a letter or two on each line."""
    found: list[str] = await page.evaluate(
        """() => [...document.querySelectorAll('main *:not(svg *)')].filter((it) => {
          const text = [...it.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE).map((node) => node.data).join('').trim();
          const { width, height } = it.getBoundingClientRect();
          return text.length > 8 && it.checkVisibility() && width > 0 && width < 40 && height > 3 * width;
        }).map((it) => it.textContent.trim())"""
    )
    return found


async def picture(page: Page, name: str) -> None:
    """Keep what the page looks like, below `.local/pictures/`, if `PICTURES=1` asks for it."""
    if os.environ.get("PICTURES"):
        await page.screenshot(path=PICTURES / f"{name}.png", full_page=True)


@pytest.fixture(scope="module")
def console_environment(postgresql_url: str, migrated_template: str) -> Iterator[None]:
    """The settings of the console. RabbitMQ is not there."""
    with (
        pytest.MonkeyPatch.context() as variables,
        fresh_database(postgresql_url, template=migrated_template) as url,
    ):
        variables.setenv("TIDINGS_AMQP_URL", "amqp://127.0.0.1:1")
        variables.setenv("TIDINGS_DATABASE_URL", url)
        variables.setenv("TIDINGS_API_LISTEN", "127.0.0.1:0")
        variables.setenv("TIDINGS_TEMPLATES_ROOT", str(STARTER))
        yield


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def desk(console_environment: None, browser: Browser) -> AsyncIterator[Desk]:
    """All of it."""
    async with console_serving(Settings().check()) as rig:
        yield Desk(browser, rig)
