"""Signing in at an OpenID provider that others wrote: the whole way, there and back."""

import json
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.support.console_rig import ConsoleRig, Person, Shown, console_serving
from tests.support.openid_providers import CLIENT, SECRET, real_provider

from tidings.console.entrance import LOGIN
from tidings.console.sessions import SESSION
from tidings.settings import Settings
from tidings_local.ports import free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")

PEOPLE = {
    "jane": {"preferred_username": "jane@example.com", "roles": ["staff", "on-call"]},
    "sue": {"preferred_username": "sue@example.com", "roles": "help desk", "tenant": "shop"},
    "root": {"preferred_username": "root@example.com", "roles": ["on-call", "sre"], "tenant": "*"},
    "bob": {"preferred_username": "bob@example.com", "roles": ["staff"]},
    "eve": {"preferred_username": "eve\u202e\n", "roles": ["on-call"]},
}
ROLES = {"help desk": "support", "on-call": "operator", "sre": "admin"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(console_settings: Settings) -> AsyncIterator[ConsoleRig]:
    """A console where one signs in at a real provider."""
    url = f"http://127.0.0.1:{free_port()}"
    async with real_provider(PEOPLE, url) as issuer:
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("TIDINGS_API_LISTEN", url.removeprefix("http://"))
            environment.setenv("TIDINGS_CONSOLE_URL", url)
            environment.setenv("TIDINGS_CONSOLE_OIDC_ISSUER", issuer)
            environment.setenv("TIDINGS_CONSOLE_OIDC_CLIENT_ID", CLIENT)
            environment.setenv("TIDINGS_CONSOLE_OIDC_CLIENT_SECRET", SECRET)
            environment.setenv("TIDINGS_CONSOLE_OIDC_SCOPES", "openid profile")
            environment.setenv("TIDINGS_CONSOLE_OIDC_NAME", "Example Login")
            environment.setenv("TIDINGS_CONSOLE_OIDC_ROLES", json.dumps(ROLES))
            async with console_serving(Settings().check()) as rig:
                yield rig


async def at_the_provider(person: Person, login: str, next_: str = "") -> Shown:
    """Sign in at the provider, up to the form there that asks for consent."""
    shown = await person.get(f"/sign-in/openid{next_}")
    return await submit(person, shown, login=login, password="any")


async def submit(person: Person, shown: Shown, **fields: str) -> Shown:
    """Send the form of a page of the provider."""
    found = re.search(r'action="([^"]+)"', shown.html)
    prompt = re.search(r'name="prompt" value="(\w+)"', shown.html)
    assert found, shown.text
    assert prompt, shown.text
    async with person.session.post(found[1], data={"prompt": prompt[1], **fields}) as reply:
        return Shown(reply.status, reply.headers, await reply.text(), reply.url.path_qs)


async def signed_in(person: Person, login: str, next_: str = "") -> Shown:
    """The whole way; the page of the console that it ends on."""
    return await submit(person, await at_the_provider(person, login, next_))


async def test_the_page_that_was_asked_for_opens_with_the_role_of_the_claim(
    desk: ConsoleRig,
) -> None:
    person = desk.stranger()
    shown = await person.get("/?range=24h")
    assert "Sign in with Example Login" in shown.text
    begin = re.search(r'href="/console(/sign-in/openid[^"]*)"', shown.html)
    assert begin
    shown = await signed_in(person, "jane", begin[1].removeprefix("/sign-in/openid"))
    assert (shown.status, shown.path) == (200, "/console/?range=24h")
    named = re.search(r"Signed in as (jane@example.com #[0-9a-f]{8}) Role: operator", shown.text)
    assert named
    [entry] = await desk.api.fetch(
        "SELECT actor, details FROM operator_actions WHERE action = 'sign in' AND actor LIKE 'console jane@%'"
    )
    assert entry["actor"].startswith(f"console {named[1]} (request ")
    assert json.loads(entry["details"])["subject"] == "jane"


@pytest.mark.parametrize(
    ("login", "name", "role"),
    [
        ("sue", "sue@example.com", "support"),
        ("root", "root@example.com", "admin"),
        ("eve", "eve", "operator"),
    ],
)
async def test_the_highest_role_counts_and_names_can_be_read(
    desk: ConsoleRig, login: str, name: str, role: str
) -> None:
    shown = await signed_in(desk.stranger(), login)
    assert re.search(rf"Signed in as {name} #[0-9a-f]{{8}} Role: {role}", shown.text)


async def test_somebody_without_a_role_is_told_so_and_not_let_in(desk: ConsoleRig) -> None:
    person = desk.stranger()
    shown = await signed_in(person, "bob")
    assert shown.status == 403
    assert "You are signed in at Example Login as bob@example.com, and have no role here" in (
        shown.text
    )
    assert SESSION not in {cookie.key for cookie in person.session.cookie_jar}
    assert "Sign in" in (await person.get("/")).text


async def test_somebody_who_cancels_there_is_told_so(desk: ConsoleRig) -> None:
    person = desk.stranger()
    shown = await at_the_provider(person, "jane")
    abort = re.search(r'href="([^"]+/abort)"', shown.html)
    assert abort
    async with person.session.get(abort[1]) as reply:
        assert reply.status == 403
        assert "Example Login did not let you in, or you cancelled there." in await reply.text()


async def test_an_answer_counts_once_and_in_the_browser_that_asked(desk: ConsoleRig) -> None:
    person, other = desk.stranger(), desk.stranger()
    shown = await at_the_provider(person, "jane")
    kept = {it.key: it.value for it in person.session.cookie_jar if it.key == LOGIN}
    assert kept
    callbacks: list[str] = []
    found = re.search(r'action="([^"]+)"', shown.html)
    assert found
    async with person.session.post(found[1], data={"prompt": "consent"}) as reply:
        assert reply.status == 200
        callbacks += [str(it.url.path_qs) for it in reply.history if "/callback" in it.url.path]
    [callback] = callbacks
    path = callback.removeprefix("/console")

    await other.get("/sign-in/openid", follow=False)
    shown = await other.get(path, follow=False)
    assert (shown.status, "was not begun in this browser" in shown.text) == (403, True)
    shown = await person.get(path, follow=False)
    assert (shown.status, "was not begun in this browser" in shown.text) == (403, True)
    person.session.cookie_jar.update_cookies(kept)
    shown = await person.get(path, follow=False)
    assert (shown.status, "was used already" in shown.text) == (403, True)


async def test_signing_out_ends_our_session_and_offers_to_end_the_providers(
    desk: ConsoleRig,
) -> None:
    person = desk.stranger()
    await signed_in(person, "jane")
    await person.get("/")
    shown = await person.send("/sign-out")
    assert "You are signed out." in shown.text
    link = re.search(r'href="(http[^"]+)"[^>]*>Sign out of Example Login too', shown.html)
    assert link
    async with person.session.get(link[1].replace("&amp;", "&")) as reply:
        assert (reply.status, "Do you want to sign-out" in await reply.text()) == (200, True)
    assert "Sign in" in (await person.get("/")).text
