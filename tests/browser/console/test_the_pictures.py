"""The pictures of docs/console.md: taken of a day of a shop, and written into docs/ with `make pictures`."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Page
from tests.browser.console.conftest import PICTURES, Desk
from tests.browser.console.story import tell
from tests.conftest import BrokerAddress
from tests.support.apart import run_apart

from tidings_local.management import Management

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHANNELS: Final = {
    "TIDINGS_EMAIL_HOST": "mail.example.com",
    "TIDINGS_EMAIL_SENDER": "Shop <hello@example.com>",
}
FOLDER: Final = Path("docs/console") if os.environ.get("WRITE_PICTURES") else PICTURES / "docs"
SIZE: Final = {"width": 1280, "height": 860}


@pytest.fixture(scope="module")
def console_environment(console_environment: None, broker_address: BrokerAddress) -> Iterator[None]:
    """With RabbitMQ, and a channel that is configured."""
    vhost = Management(broker_address.management_url, f"test-{secrets.token_hex(6)}")
    run_apart(vhost.create())
    with pytest.MonkeyPatch.context() as variables:
        variables.setenv("TIDINGS_AMQP_URL", f"{broker_address.amqp_url}/{vhost.vhost}")
        for name, value in CHANNELS.items():
            variables.setenv(name, value)
        yield
    run_apart(vhost.delete())


async def shot(page: Page, name: str) -> None:
    await page.evaluate("scrollTo(0, 0)")
    await page.screenshot(path=FOLDER / f"{name}.png")


async def test_the_pages_of_the_guide_show_a_day_of_a_shop(desk: Desk) -> None:
    await tell(desk.rig)
    async with desk.sitting(viewport=SIZE, color_scheme="light") as page:
        await page.goto("/console/?range=1h")
        await shot(page, "overview")
        await page.goto("/console/failures")
        await shot(page, "failures")
        await page.click("[data-row]:has-text('mailbox unavailable') a")
        await page.wait_for_selector("h1:has-text('mailbox unavailable')")
        await shot(page, "group")
        await page.click("[data-row] a")
        await page.wait_for_url("**/failures/letters/*")
        await shot(page, "dead-letter")
    async with desk.sitting(viewport=SIZE, color_scheme="dark") as page:
        await page.goto("/console/notifications?state=failed&channel=sms")
        await page.click("[data-row] a")
        await page.wait_for_selector("text=Timeline")
        await shot(page, "notification")
