"""The console in this process, and people who look at it without a browser."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import pytest
from multidict import CIMultiDictProxy
from tests.support.api_rig import ApiRig, serving

from tidings.console import Console
from tidings.console.pages import bulk, outbox, overview
from tidings.settings import Settings

CSRF = re.compile(r'name="csrf" value="([^"]+)"')


@dataclass
class Shown:
    """A page as a browser without scripts has it."""

    status: int
    headers: "CIMultiDictProxy[str]"
    html: str
    path: str
    """Where it is, after redirections; with its query."""

    @property
    def text(self) -> str:
        """Its words, without tags and blanks."""
        words = re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", self.html, flags=re.DOTALL)
        return re.sub(r"\s+", " ", unescape(words)).strip()


class Person:
    """Somebody with a browser of their own, who reads pages and sends forms."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
        self.csrf = ""

    async def sign_in(self, key: str) -> Shown:
        """Sign in with an API key."""
        return await self.send("/sign-in", key=key)

    async def get(self, path: str, *, follow: bool = True) -> Shown:
        """Look at a page."""
        async with self.session.get(
            f"{self.origin}/console{path}", allow_redirects=follow
        ) as reply:
            return await self._shown(reply)

    async def send(
        self,
        path: str,
        fields: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        follow: bool = True,
        **more: Any,
    ) -> Shown:
        """Send a form of the page that was looked at last."""
        given = {"csrf": self.csrf, **(fields or {}), **more}
        pairs = [
            (name, str(each))
            for name, value in given.items()
            for each in (value if isinstance(value, list) else [value])
        ]
        async with self.session.post(
            f"{self.origin}/console{path}", data=pairs, headers=headers, allow_redirects=follow
        ) as reply:
            return await self._shown(reply)

    async def _shown(self, reply: aiohttp.ClientResponse) -> Shown:
        html = await reply.text()
        assert reply.status != 500, f"{reply.url}: an error that nobody expected; it is in the log"
        if found := CSRF.search(html):
            self.csrf = found[1]
        place = urlsplit(str(reply.url))
        path = place.path + (f"?{place.query}" if place.query else "")
        return Shown(reply.status, reply.headers, html, path)


class ConsoleRig:
    """Everything a test of the console needs."""

    def __init__(self, api: ApiRig) -> None:
        self.api = api
        self.origin = f"http://127.0.0.1:{api.api.port}"
        self._people: list[Person] = []

    async def person(self, *scopes: str, **fields: Any) -> Person:
        """Somebody signed in with a key of these scopes, or of all."""
        person = self.stranger()
        shown = await person.sign_in(await self.api.key(*scopes, **fields))
        assert shown.status == 200, shown.text
        return person

    def stranger(self) -> Person:
        """Somebody who is not signed in."""
        self._people.append(person := Person(self.origin))
        return person

    async def close(self) -> None:
        """Close their browsers."""
        for person in self._people:
            await person.session.close()


@asynccontextmanager
async def console_serving(settings: Settings) -> AsyncIterator[ConsoleRig]:
    """A running API with its console, which waits as long as it takes: for the items of a job, and for new numbers."""
    with pytest.MonkeyPatch.context() as patch:
        for page in (bulk, outbox):
            patch.setattr(page, "PATIENCE", 20.0)
        patch.setattr(overview, "SOON", 20.0)
        async with _serving(settings) as rig:
            yield rig


@asynccontextmanager
async def _serving(settings: Settings) -> AsyncIterator[ConsoleRig]:
    async with serving(settings, console=Console) as api:
        rig = ConsoleRig(api)
        try:
            yield rig
        finally:
            await rig.close()


def query_of(path: str) -> dict[str, str]:
    """The query of a page's address."""
    return dict(parse_qsl(urlsplit(path).query))
