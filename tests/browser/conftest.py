"""A real Chromium, a website with the inbox component, and the API on an origin of its own."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Locator, Page, async_playwright
from tests.browser.site import Site
from tests.conftest import fresh_database
from tests.support.api_rig import ApiRig, serving
from tests.support.chromium import QUIET, chromium
from tests.support.inboxes import delivered
from tests.support.user_tokens import VARIABLES, token_of

from tidings.ledger.inbox.messages import InboxUser
from tidings.settings import Settings

PATIENCE = 15_000
"""Milliseconds."""


class Tab:
    """A tab of the browser with the component in it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.inbox = page.locator("tidings-inbox")
        self.bell = self.inbox.locator(".bell")
        self.panel = self.inbox.locator(".panel")
        self.messages = self.inbox.locator(".message")
        self.faults: list[str] = []
        self.sockets: list[str] = []
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("websocket", lambda socket: self.sockets.append(socket.url))

    async def state(self) -> dict[str, Any]:
        """The client's."""
        return dict(
            await self.page.evaluate("document.querySelector('tidings-inbox').client.state")
        )

    async def until(self, condition: str, **values: object) -> None:
        """Wait until something is true of `inbox`, the element, `state`, the client's, and `shown`, the titles in the list."""
        names = ", ".join(values)
        await self.page.wait_for_function(
            f"""({{ {names} }}) => {{
              const inbox = document.querySelector('tidings-inbox');
              const state = inbox.client?.state;
              const shown = [...inbox.shadowRoot.querySelectorAll('.title')].map((it) => it.textContent);
              return !!state && ({condition});
            }}""",
            arg=values,
        )

    async def live(self, unread: int) -> None:
        """Wait until it is live, with so many unread messages."""
        await self.until("state.status === 'live' && state.counts.unread === unread", unread=unread)

    async def has_focus(self, part: str) -> None:
        """Wait until a part of the component has the focus."""
        await self.until("inbox.shadowRoot.activeElement?.classList.contains(part)", part=part)

    def titled(self, title: str) -> Locator:
        """The message with this title."""
        return self.messages.filter(has_text=title)


class World:
    """The browser, the website and the API."""

    def __init__(self, browser: Browser, site: Site, api: ApiRig) -> None:
        self.browser = browser
        self.site = site
        self.api = api

    def user(self) -> str:
        """A user of the test's own."""
        return f"user-{uuid4().hex[:8]}"

    async def deliver(self, user: str, *messages: dict[str, Any]) -> list[UUID]:
        """Put messages into a user's inbox."""
        owner = InboxUser("default", user)
        return await delivered(self.api.backend.ledger.database, owner, *messages)

    @asynccontextmanager
    async def signed_in(self, user: str, **how: Any) -> AsyncIterator[BrowserContext]:
        """A browser of a user's own, with the website's cookie."""
        how.setdefault("viewport", {"width": 1280, "height": 800})
        context = await self.browser.new_context(**how)
        context.set_default_timeout(PATIENCE)
        await context.add_cookies([{"name": "user", "value": user, "url": self.site.origin}])
        try:
            yield context
        finally:
            await context.close()

    async def visit(self, context: BrowserContext, page: str = "shop", **query: str) -> Tab:
        """Open a page of the website."""
        tab = Tab(await context.new_page())
        await tab.page.goto(f"{self.site.origin}/{page}?{urlencode(query)}")
        return tab

    @asynccontextmanager
    async def at(self, user: str, page: str = "shop", **query: str) -> AsyncIterator[Tab]:
        """One tab of a user's; nothing in it may have failed at the end."""
        async with self.signed_in(user) as context:
            tab = await self.visit(context, page, **query)
            yield tab
            assert tab.faults == []


@pytest.fixture(scope="module")
def environment(postgresql_url: str, migrated_template: str) -> Iterator[None]:
    """The settings of the API. RabbitMQ is not there, so that it looks for changes every second."""
    with (
        pytest.MonkeyPatch.context() as variables,
        fresh_database(postgresql_url, template=migrated_template) as url,
    ):
        variables.setenv("TIDINGS_AMQP_URL", "amqp://127.0.0.1:1")
        variables.setenv("TIDINGS_DATABASE_URL", url)
        variables.setenv("TIDINGS_API_LISTEN", "127.0.0.1:0")
        variables.setenv("TIDINGS_API_ORIGINS", "*")
        for name, value in VARIABLES.items():
            variables.setenv(name, value)
        yield


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """A Chromium for everybody: starting one takes a second of CPU. Each test has contexts of its own in it.

    Where there is none the tests that ask for it are skipped, and fail in CI.
    """
    program = chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=[*QUIET])
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(environment: None, browser: Browser) -> AsyncIterator[World]:
    """All of it."""
    async with (
        serving(Settings().check()) as api,
        Site(f"http://127.0.0.1:{api.api.port}", token_of) as site,
    ):
        yield World(browser, site, api)
