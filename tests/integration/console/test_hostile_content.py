"""Whatever others write into what the console shows, on every page it is text: nothing runs, nothing is sent elsewhere."""

import csv
import io
from collections.abc import AsyncIterator, Iterator
from html.parser import HTMLParser
from urllib.parse import quote, urlencode

import pytest
import pytest_asyncio
from tests.conftest import fresh_database
from tests.support.console_rig import ConsoleRig, Person, Shown
from tests.support.console_things import (
    EVIL,
    EVIL_NAME,
    FORMULA,
    Ids,
    address,
    is_about,
    make_everything,
)

from tidings.console.page import ConsolePage
from tidings.console.pages import pages

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOOKED_AT = tuple(page for page in pages() if page.method == "GET")
REVEALED = tuple(
    page
    for page in pages()
    if page.method == "POST"
    and (page.path.endswith("/reveal") or page.path == "/notifications/{id}")
)
ADDRESSES = {"href", "src", "action", "formaction", "poster", "data", "xlink:href"}
RUN = {"script", "iframe", "object", "embed", "base", "style", "img", "math", "template"}
"""Elements that load or run something; of scripts a page has one, ours."""


class Inspected(HTMLParser):
    """What of a page would run, or go somewhere else."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        ours = given.get("src", "").startswith("/console/assets/") and tag == "script"
        if tag == "iframe" and given.get("sandbox") == "" and "src" not in given:
            self.faults += inspected(
                given.get("srcdoc", "")
            )  # may do nothing, and is looked at too
        elif tag in RUN and not ours:
            self.faults.append(f"<{tag}> {given}")
        for name, value in given.items():
            if name.startswith("on") or name == "style":
                self.faults.append(f"{name}={value}")
            if name in ADDRESSES and not value.startswith(("/console", "#")):
                self.faults.append(f"{name}={value}")


def inspected(html: str) -> list[str]:
    """What is wrong with it."""
    reader = Inspected()
    reader.feed(html)
    return reader.faults


def faults(shown: Shown) -> list[str]:
    """All of a page; a file that is saved is none."""
    saved = "attachment" in shown.headers.get("Content-Disposition", "")
    return [] if saved else inspected(shown.html)


@pytest.fixture(scope="module")
def console_database_url(postgresql_url: str, migrated_template: str) -> Iterator[str]:
    """A database with nothing else in it."""
    with fresh_database(postgresql_url, template=migrated_template) as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ids(console: ConsoleRig) -> Ids:
    """One of everything."""
    return await make_everything(console, "shop")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def person(console: ConsoleRig) -> AsyncIterator[Person]:
    """Somebody who may see everything."""
    yield await console.person(name=EVIL_NAME)


async def test_on_no_page_does_anything_run(person: Person, ids: Ids) -> None:
    hostile = 0
    for page in LOOKED_AT:
        shown = await person.get(address(page, ids))
        expected = {200} if is_about(page, ids) else {200, 404, 422, 503}
        assert shown.status in expected, (page.path, shown.text[:300])
        assert faults(shown) == [], page.path
        hostile += "&lt;script&gt;alert(" in shown.html
    assert hostile > 4  # it is there, and it is text


async def test_what_is_revealed_does_not_run_either(person: Person, ids: Ids) -> None:
    for page in REVEALED:
        await person.get("/")
        shown = await person.send(address(page, ids))
        assert shown.status == 200, (page.path, shown.text[:300])
        assert faults(shown) == [], page.path


@pytest.mark.parametrize(
    "value", [EVIL, "javascript:alert(1)", "a" * 20_000, "\x00", "%00%ff", "'"]
)
async def test_no_address_makes_a_page_fail_or_run_something(
    person: Person, ids: Ids, value: str
) -> None:
    names = (
        "state",
        "channel",
        "cursor",
        "tenant",
        "since",
        "range",
        "add",
        "action",
        "category",
        "q",
    )
    query = urlencode(dict.fromkeys(names, value[:2_000]))
    for page in LOOKED_AT:
        shown = await person.get(f"{address(page, ids)}?{query}")
        assert shown.status < 500 or shown.status == 503, page.path
        assert faults(shown) == [], page.path
        if "{" in page.path:
            odd = page.path[: page.path.index("{")] + quote(value[:500], safe="")
            shown = await person.get(odd)
            assert shown.status in {404, 422}, odd
            assert faults(shown) == [], odd


async def test_a_download_has_no_formula(console: ConsoleRig, person: Person, ids: Ids) -> None:
    await console.api.execute(
        "UPDATE notifications SET category = $2 WHERE id = $1::uuid",
        ids["/notifications/"],
        FORMULA,
    )
    downloads: list[ConsolePage] = []
    for page in LOOKED_AT:
        shown = await person.get(address(page, ids))
        if "attachment" in shown.headers.get("Content-Disposition", ""):
            downloads.append(page)
            cells = [cell for row in csv.reader(io.StringIO(shown.html)) for cell in row]
            assert cells, page.path
            assert [cell for cell in cells if cell[:1] in {"=", "+", "@", "\t", "\r"}] == []
    assert downloads
