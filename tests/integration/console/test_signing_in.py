"""Who may look at the console, and how long."""

import pytest
from tests.support.console_rig import ConsoleRig, query_of

from tidings.console.sessions import SESSION

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_key_opens_the_page_that_was_asked_for(console: ConsoleRig) -> None:
    stranger = console.stranger()
    shown = await stranger.get("/?range=24h")
    assert "Sign in" in shown.text
    assert query_of(shown.path) == {"next": "/?range=24h"}
    key = await console.api.key("read", name="jane")
    shown = await stranger.send("/sign-in", key=key, next="/?range=24h")
    assert shown.path == "/console/?range=24h"
    assert "jane" in shown.text
    assert "Role: viewer" in shown.text


async def test_a_wrong_key_opens_nothing_and_says_why(console: ConsoleRig) -> None:
    stranger = console.stranger()
    shown = await stranger.sign_in("tk_live_nothing")
    assert shown.status == 403
    assert "This key is unknown, revoked or expired" in shown.text
    assert SESSION not in shown.headers.get("Set-Cookie", "")


async def test_after_signing_in_nobody_is_sent_to_another_site(console: ConsoleRig) -> None:
    for wanted in ("https://evil.example", "//evil.example", "/\\evil.example", ""):
        stranger = console.stranger()
        key = await console.api.key("read")
        shown = await stranger.send("/sign-in", key=key, next=wanted, follow=False)
        assert shown.headers["Location"] == "/console/"


async def test_a_session_ends_with_its_key(console: ConsoleRig) -> None:
    key = await console.api.key("read")
    stranger = console.stranger()
    assert "Overview" in (await stranger.sign_in(key)).text
    await console.api.revoke(key)
    assert "Sign in" in (await stranger.get("/")).text


async def test_signing_out_ends_the_session_for_good(console: ConsoleRig) -> None:
    person = await console.person("read")
    cookies = {
        cookie.key: cookie.value for cookie in person.session.cookie_jar if cookie.key == SESSION
    }
    await person.send("/sign-out")
    assert "Sign in" in (await person.get("/")).text
    person.session.cookie_jar.update_cookies(cookies)
    assert "Sign in" in (await person.get("/")).text


async def test_a_form_of_another_site_or_session_changes_nothing(console: ConsoleRig) -> None:
    person, other = await console.person("read"), await console.person("read")
    for fields, headers in (
        ({"csrf": ""}, None),
        ({"csrf": other.csrf}, None),
        ({}, {"Sec-Fetch-Site": "cross-site"}),
        ({}, {"Sec-Fetch-Site": "same-site"}),
        ({}, {"Origin": "https://evil.example"}),
    ):
        shown = await person.send("/sign-out", fields, headers=headers)
        assert shown.status == 409, (fields, headers)
    assert "Overview" in (await person.get("/")).text
