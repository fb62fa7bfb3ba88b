"""What docs/inbox.md shows to write into a page works in a browser, under the policy that it names."""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Browser, Page, expect
from tests.browser.conftest import World
from tests.browser.test_the_examples import PAGE, bundled
from tests.conftest import fresh_database
from tests.support.api_rig import ApiRig, serving
from tests.support.inbox_component import SOURCE
from tests.support.inboxes import delivered
from tests.support.user_tokens import VARIABLES, token_of

from tidings.ledger.inbox.messages import InboxUser
from tidings.settings import Settings
from tidings_local.sinks.web import LoopbackSite

GUIDE: Final = (Path(__file__).parents[2] / "docs" / "inbox.md").read_text("utf-8")
PATIENCE: Final = 15_000
REACT: Final = """
import { createRoot } from "react-dom/client";
import { Inbox } from "./guide.jsx";
const navigate = (path) => { document.title = path; };
createRoot(document.getElementById("app")).render(<Inbox api="%(api)s" navigate={navigate} />);
"""
ORDER: Final[dict[str, Any]] = {
    "title": "Shipped",
    "action_url": "/orders/7",
    "entity_type": "order",
    "entity_id": "7",
}
INVITATION: Final[dict[str, Any]] = {
    "title": "Invited",
    "data": {"invitation": 9},
    "actions": [{"id": "accept", "label": "Accept"}],
}
RECORDED: Final = """
window.opened = [];
window.openOrder = (id) => window.opened.push(`order ${id}`);
window.answerInvitation = (data, action) => window.opened.push(`${data.invitation} ${action}`);
"""


def block(language: str, mark: str) -> str:
    """The block of the guide with these words."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    [text] = [text for text in found if mark in text]
    return str(text)


class Application:
    """A website of its own origin, with one page, its files, and tokens of its user."""

    def __init__(self) -> None:
        self.user = ""
        self.files: Mapping[str, tuple[str, str]] = {}
        """Text and media type by name; the page's name is empty."""
        self.policy = ""
        app = web.Application()
        app.router.add_get("/inbox-token", self._token)
        app.router.add_get("/{name:.*}", self._file)
        self.site = LoopbackSite(app)

    async def _token(self, _: web.Request) -> web.Response:
        return web.Response(text=token_of(self.user))

    async def _file(self, request: web.Request) -> web.Response:
        text, kind = self.files.get(request.match_info["name"], ("", "text/plain"))
        headers = {"Content-Security-Policy": self.policy}
        return web.Response(text=text, content_type=kind, headers=headers)


@pytest_asyncio.fixture(loop_scope="session")
async def application() -> AsyncIterator[Application]:
    """The website, served."""
    application = Application()
    async with application.site:
        yield application


@pytest.fixture
def settings(
    application: Application,
    postgresql_url: str,
    migrated_template: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Settings]:
    """Of an API that lets the application's page in. RabbitMQ is not there: it looks for changes every second."""
    with fresh_database(postgresql_url, template=migrated_template) as url:
        variables = {
            **VARIABLES,
            "TIDINGS_AMQP_URL": "amqp://127.0.0.1:1",
            "TIDINGS_DATABASE_URL": url,
            "TIDINGS_API_LISTEN": "127.0.0.1:0",
            "TIDINGS_API_ORIGINS": application.site.url,
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield Settings().check()


class Shop:
    """The browser, the website and the API."""

    def __init__(self, browser: Browser, application: Application, api: ApiRig) -> None:
        self.browser = browser
        self.application = application
        self.address = f"http://127.0.0.1:{api.api.port}"
        self.database = api.backend.ledger.database

    async def deliver(self, *messages: dict[str, Any]) -> None:
        """Put messages into the user's inbox."""
        await delivered(self.database, InboxUser("default", self.application.user), *messages)

    @asynccontextmanager
    async def visited(self, html: str, **files: tuple[str, str]) -> AsyncIterator[Page]:
        """The page for a new user, who has an order and an invitation; nothing in it may have failed."""
        application = self.application
        application.user = f"user-{uuid4().hex[:8]}"
        await self.deliver(ORDER, INVITATION)
        page = ("<!doctype html><title>Shop</title><link rel=icon href=data:,>" + html, "text/html")
        every = {"": page, **{name.replace("_", "."): file for name, file in files.items()}}
        application.files = {name: (self.here(text), kind) for name, (text, kind) in every.items()}
        [policy] = re.findall(r"^script-src [^`]+", GUIDE, re.MULTILINE)
        own = self.here(policy).replace("\n", " ")
        application.policy = f"default-src 'self'; img-src 'self' data:; {own}"
        shown = await self.browser.new_page()
        faults: list[str] = []
        shown.on("pageerror", lambda error: faults.append(str(error)))
        shown.on("console", lambda line: faults.append(line.text) if line.type == "error" else None)
        await shown.add_init_script(RECORDED)
        await shown.goto(f"{application.site.url}/")
        try:
            yield shown
        finally:
            assert faults == []
            await shown.close()

    def here(self, text: str) -> str:
        """With the address of this API in place of the guide's."""
        text = text.replace("wss://tidings.example.com", f"ws{self.address[4:]}")
        return text.replace("https://tidings.example.com", self.address)


@pytest.mark.timeout(120)
@pytest.mark.asyncio(loop_scope="session")
async def test_what_the_guide_shows_works_in_a_page(
    settings: Settings, application: Application, browser: Browser
) -> None:
    async with serving(settings) as api:
        shop = Shop(browser, application, api)
        await check_embedding(shop)
        await check_theming_and_events(shop)
        await check_drawing_one_s_own(shop)


async def check_embedding(shop: Shop) -> None:
    async with shop.visited(block("html", "<script")) as page:
        badge = page.locator("tidings-inbox .badge")
        await expect(badge).to_have_text("2", timeout=PATIENCE)
        await shop.deliver({"title": "Live"})
        await expect(badge).to_have_text("3", timeout=PATIENCE)


async def check_theming_and_events(shop: Shop) -> None:
    scripts = "".join(
        f'<script type="module" src="{source}"></script>'
        for source in ("https://tidings.example.com/inbox/v1/tidings-inbox.js", "/events.js")
    )
    html = f'<link rel="stylesheet" href="/theme.css">{scripts}{block("html", "slot=")}'
    theme = (block("css", "tidings-inbox"), "text/css")
    events = (block("javascript", "tidings-click"), "text/javascript")
    async with shop.visited(html, theme_css=theme, events_js=events) as page:
        await expect(page).to_have_title("(2) Shop", timeout=PATIENCE)
        await page.locator("tidings-inbox .bell").click()
        await expect(page.get_by_text("What's new")).to_be_visible()
        await expect(page.get_by_role("link", name="Settings")).to_be_visible()
        panel = page.locator("tidings-inbox .panel")
        assert await panel.evaluate("(it) => getComputedStyle(it).width") == "440px"
        await page.locator("tidings-inbox .message", has_text="Shipped").locator(".title").click()
        await page.locator("tidings-inbox").get_by_text("Accept", exact=True).click()
        await expect(page).to_have_title("Shop", timeout=PATIENCE)
        assert await page.evaluate("window.opened") == ["order 7", "9 accept"]
        assert page.url == f"{shop.application.site.url}/"


async def check_drawing_one_s_own(shop: Shop) -> None:
    html = '<b id="badge"></b><ul id="messages"></ul><script type="module" src="/own.js"></script>'
    own = (block("javascript", "new InboxClient"), "text/javascript")
    async with shop.visited(html, own_js=own) as page:
        badge, rows = page.locator("#badge"), page.locator("#messages li")
        await expect(rows).to_have_text(["Invited", "Shipped"], timeout=PATIENCE)
        await expect(badge).to_have_text("2")
        await rows.first.click()
        await expect(rows).to_have_text(["Shipped"])
        await expect(badge).to_have_text("1")


@pytest.mark.asyncio(loop_scope="session")
async def test_its_component_of_react_leaves_links_to_the_router(
    world: World, tmp_path: Path
) -> None:
    source = str(SOURCE / "src" / "tidings-inbox.js")
    component = block("jsx", "tidings-inbox").replace('"tidings-inbox"', f'"{source}"')
    (tmp_path / "guide.jsx").write_text(component)
    bundled(world, REACT, tmp_path, "guide-in-react.js")
    user = world.user()
    await world.deliver(user, {"title": "Shipped", "action_url": "/orders/7"})
    async with world.at(user, html=PAGE.format(name="guide-in-react.js")) as tab:
        await tab.bell.click()
        await tab.titled("Shipped").locator(".title").click()
        await tab.live(0)
        assert await tab.page.title() == "/orders/7"
        assert await tab.panel.is_hidden(), "it would hide the page on a telephone"
