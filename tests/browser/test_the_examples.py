"""The examples of the inbox component, as an application would build and serve them."""

import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.browser.conftest import Tab, World
from tests.support.inbox_component import SOURCE, node_modules

pytestmark = pytest.mark.asyncio(loop_scope="session")

EXAMPLES = SOURCE / "examples"
PAGE = '<!doctype html><html lang="en"><title>Shop</title><div id="app"></div><script type="module" src="/scripts/{name}"></script></html>'
REACT = """
import { createRoot } from "react-dom/client";
import { Inbox } from "%(examples)s/react.jsx";
const opened = (message) => { document.title = message.title; return true; };
createRoot(document.getElementById("app")).render(<Inbox api="%(api)s" onMessage={opened} />);
"""
VUE = """
import { createApp } from "vue";
import { Inbox } from "%(examples)s/vue.js";
createApp(Inbox, { api: "%(api)s" }).mount("#app");
"""


def bundled(world: World, text: str, folder: Path, name: str) -> None:
    """Build a program as an application does, and put it on the website."""
    modules = node_modules()
    entry = folder / f"{name}.jsx"
    entry.write_text(text % {"examples": EXAMPLES, "api": world.site.api})
    command = [
        *(modules / ".bin" / "esbuild", entry, "--bundle", "--format=esm", "--jsx=automatic"),
        *("--alias:vue=vue/dist/vue.esm-bundler.js", '--define:process.env.NODE_ENV="production"'),
    ]
    environment = {**os.environ, "NODE_PATH": str(modules)}
    built = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    world.site.scripts[name] = built.stdout


@pytest_asyncio.fixture(loop_scope="session")
async def user(world: World) -> AsyncIterator[str]:
    """With two messages."""
    user = world.user()
    await world.deliver(user, {"title": "First", "action_url": "/first"}, {"title": "Second"})
    yield user


async def test_one_line_of_plain_html_is_enough(world: World, user: str) -> None:
    page = (
        (EXAMPLES / "plain.html").read_text().replace("https://tidings.example.com", world.site.api)
    )
    async with world.at(user, html=page) as tab:
        await tab.live(2)
        await tab.bell.click()
        await tab.until("shown.join() === 'Second,First'")


async def test_the_element_works_within_react(world: World, user: str, tmp_path: Path) -> None:
    bundled(world, REACT, tmp_path, "react.js")
    async with world.at(user, html=PAGE.format(name="react.js")) as tab:
        await tab.page.get_by_text("2 unread").wait_for()
        await tab.bell.click()
        await tab.titled("First").locator(".title").click()
        await tab.page.get_by_text("1 unread").wait_for()
        assert await tab.page.title() == "First"


async def test_the_client_works_within_vue(world: World, user: str, tmp_path: Path) -> None:
    bundled(world, VUE, tmp_path, "vue.js")
    async with world.signed_in(user) as context:
        tab: Tab = await world.visit(context, html=PAGE.format(name="vue.js"))
        await tab.page.get_by_text("2 unread").wait_for()
        await tab.page.get_by_role("button", name="Read").first.click()
        await tab.page.get_by_text("1 unread").wait_for()
        assert await tab.page.locator("li").all_inner_texts() == ["First Read"]
        assert tab.faults == []
