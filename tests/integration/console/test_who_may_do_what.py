"""Every page and action of the console, for everybody: nobody sees or does more than their role, tenant and key permit."""

from collections.abc import AsyncIterator, Iterator
from types import MappingProxyType
from typing import Any

import pytest
import pytest_asyncio
from tests.conftest import fresh_database
from tests.support.console_forms import matches, submit_buttons
from tests.support.console_rig import ConsoleRig, Person, Shown
from tests.support.console_things import UNKNOWN, Ids, address, is_about, make_everything

from tidings.console.page import ConsolePage
from tidings.console.pages import pages
from tidings.operations.roles import SCOPES, ConsoleRole

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGES = tuple(pages())
OF_EVERYBODY = {"/theme", "/sign-out"}
"""Forms that each person who is signed in may send."""
ANSWERS = {200, 303, 404, 409, 422, 503}
"""What one who may is answered: RabbitMQ is not there, and nothing has the id."""


@pytest.fixture(scope="module")
def console_database_url(postgresql_url: str, migrated_template: str) -> Iterator[str]:
    """A database of these tests' own: they press every button there is."""
    with fresh_database(postgresql_url, template=migrated_template) as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def people(console: ConsoleRig) -> AsyncIterator[dict[ConsoleRole, Person]]:
    """Somebody with each role, for all tenants."""
    yield {role: await console.person(*SCOPES[role], name=role) for role in ConsoleRole}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def theirs(console: ConsoleRig) -> Ids:
    """One of everything, of a tenant."""
    return await make_everything(console, "theirs")


async def ask(person: Person, page: ConsolePage, ids: Ids = MappingProxyType({})) -> Shown:
    """Look at a page, or send its form, about one of these things or about nothing that exists."""
    if page.method == "GET":
        return await person.get(address(page, ids), follow=False)
    return await person.send(address(page, ids), follow=False)


def is_guarded(shown: Shown) -> bool:
    """Whether an answer has the headers that keep other sites and scripts out."""
    policy = shown.headers["Content-Security-Policy"]
    return (
        "default-src 'none'; script-src 'self'" in policy
        and "'unsafe" not in policy
        and "frame-ancestors 'none'" in policy
        and shown.headers["X-Content-Type-Options"] == "nosniff"
        and shown.headers["Referrer-Policy"] == "same-origin"
        and shown.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        and shown.headers["Cache-Control"] == "no-store"
    )


async def test_nobody_sees_or_does_anything_without_signing_in(console: ConsoleRig) -> None:
    stranger = console.stranger()
    for page in PAGES:
        shown = await ask(stranger, page)
        assert (page.path, shown.status) == (page.path, 303)
        assert shown.headers["Location"].startswith("/console/sign-in")
        assert is_guarded(shown), page.path
    for path in OF_EVERYBODY:
        shown = await stranger.send(path, follow=False)
        assert shown.headers["Location"].startswith("/console/sign-in"), path


async def test_each_role_may_do_what_is_said_of_it_and_nothing_else(
    people: dict[ConsoleRole, Person],
) -> None:
    for role, person in people.items():
        for page in PAGES:
            shown = await ask(person, page)
            expected = ANSWERS if page.scope in SCOPES[role] else {403}
            assert shown.status in expected, (role, page.method, page.path, shown.text)
            assert is_guarded(shown), (page.path, shown.headers)


async def test_no_form_changes_anything_without_the_token_of_its_session(
    people: dict[ConsoleRole, Person],
) -> None:
    person, other = people[ConsoleRole.ADMIN], people[ConsoleRole.OPERATOR]
    await other.get("/")
    forms = [address(page, {}) for page in PAGES if page.method == "POST"]
    for path in (*forms, *OF_EVERYBODY):
        for token in ("", other.csrf, person.csrf[:-1]):
            shown = await person.send(path, csrf=token, follow=False)
            assert (path, shown.status) == (path, 409)
            assert "reload the page" in shown.text
        shown = await person.send(path, headers={"Sec-Fetch-Site": "cross-site"}, follow=False)
        assert (path, shown.status) == (path, 409)
    assert (await person.get("/")).status == 200


async def test_what_a_form_does_no_address_does(people: dict[ConsoleRole, Person]) -> None:
    looked_at = {page.path for page in PAGES if page.method == "GET"}
    forms = {page.path for page in PAGES if page.method == "POST"} | OF_EVERYBODY
    for path in forms - looked_at:
        shown = await people[ConsoleRole.ADMIN].get(path.replace("{id}", UNKNOWN), follow=False)
        assert shown.status in {404, 405}, path


async def test_what_concerns_all_tenants_is_refused_to_people_of_one(console: ConsoleRig) -> None:
    person = await console.person(tenant="shop")
    for page in PAGES:
        shown = await ask(person, page)
        expected = {403} if page.all_tenants else ANSWERS
        assert shown.status in expected, (page.method, page.path, shown.text)


async def test_what_concerns_live_notifications_is_refused_to_a_test_key(
    console: ConsoleRig,
) -> None:
    person = await console.person(test=True)
    for page in PAGES:
        shown = await ask(person, page)
        expected = {403} if page.live_only else ANSWERS
        assert shown.status in expected, (page.method, page.path, shown.text)


@pytest.mark.parametrize(
    "who", [{"tenant": "mine"}, {"tenant": "theirs", "test": True}, {"test": True}]
)
async def test_what_is_of_another_tenant_or_no_test_is_like_what_does_not_exist(
    console: ConsoleRig, theirs: Ids, who: dict[str, Any]
) -> None:
    stranger, owner = await console.person(**who), await console.person(tenant="theirs")
    nothing = dict.fromkeys(theirs, UNKNOWN)
    for page in PAGES:
        if not is_about(page, theirs) or page.all_tenants or page.live_only:
            continue
        shown = await ask(stranger, page, theirs)
        expected = await ask(stranger, page, nothing)
        assert (page.path, shown.status) == (page.path, expected.status)
        assert shown.status in {404, 409, 422}, (page.method, page.path, shown.text)
        if page.method == "GET":
            assert shown.status == 404, page.path
            assert (await ask(owner, page, theirs)).status == 200, page.path
    for page in PAGES:
        if page.method == "GET" and "{" not in page.path and not page.all_tenants:
            shown = await ask(stranger, page)
            assert [id_ for id_ in theirs.values() if id_ in shown.html] == [], page.path


async def test_no_button_is_shown_that_would_be_refused(
    console: ConsoleRig, people: dict[ConsoleRole, Person], theirs: Ids
) -> None:
    everybody = {
        **{person: SCOPES[role] for role, person in people.items()},
        await console.person(tenant="theirs"): SCOPES[ConsoleRole.ADMIN],
        await console.person(test=True): SCOPES[ConsoleRole.ADMIN],
    }
    *_, of_one_tenant, of_tests = everybody
    for person, scopes in everybody.items():
        for page in PAGES:
            if page.method == "POST":
                continue
            shown = await ask(person, page, theirs)
            for button in submit_buttons(shown.html):
                if button.path in OF_EVERYBODY:
                    continue
                action = next(
                    (it for it in PAGES if it.method == "POST" and matches(it, button.path)), None
                )
                assert action is not None, (page.path, button)
                assert action.scope in scopes, (page.path, button)
                assert not (action.all_tenants and person is of_one_tenant), (page.path, button)
                assert not (action.live_only and person is of_tests), (page.path, button)
