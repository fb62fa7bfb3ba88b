"""What others wrote, in a real Chromium: it runs nowhere, goes nowhere else, and breaks no page's layout."""

import pytest
from playwright.async_api import Dialog, Request
from tests.browser.console.conftest import Desk, overflows
from tests.support.console_things import EVIL_NAME, address, is_about, make_everything

from tidings.console.pages import pages

ELSEWHERE = ("/export", ".csv", "/beginning", "/preview")
"""How addresses end of what is saved, and of what needs a query; the tests without a browser ask for both."""
pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_nothing_runs_and_nothing_is_asked_elsewhere_on_any_page(desk: Desk) -> None:
    ids = await make_everything(desk.rig, "hostile")
    looked_at = [it for it in pages() if it.method == "GET" and is_about(it, ids)]
    lists = [it for it in pages() if it.method == "GET" and "{" not in it.path]
    key = await desk.rig.api.key(tenant="hostile", name=EVIL_NAME)
    narrow = {"width": 360, "height": 740}
    wide: list[str] = []
    async with desk.sitting(key=key, viewport=narrow) as page:
        dialogs: list[str] = []
        elsewhere: list[str] = []

        async def opened(dialog: Dialog) -> None:
            dialogs.append(dialog.message)
            await dialog.dismiss()

        def seen(request: Request) -> None:
            if not request.url.startswith((f"{desk.rig.origin}/console", "data:")):
                elsewhere.append(request.url)

        page.on("dialog", opened)
        page.on("request", seen)
        for it in (*looked_at, *(each for each in lists if not each.all_tenants)):
            if it.path.endswith(ELSEWHERE):
                continue
            answer = await page.goto(f"/console{address(it, ids)}")
            assert answer, it.path
            assert answer.ok, (it.path, answer.status)
            if await overflows(page):
                wide.append(it.path)
        assert dialogs == []
        assert elsewhere == []
    assert wide == []
