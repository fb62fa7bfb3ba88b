"""Who may look at the console, and how long."""

import asyncio
import re

import pytest
from tests.support.console_rig import ConsoleRig, console_serving, query_of

from tidings.console import entrance, forms
from tidings.console.sessions import SESSION
from tidings.settings import Settings

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
    assert "Role: viewer Tenant: all tenants" in shown.text  # a phone has no room for it elsewhere


async def test_a_wrong_key_opens_nothing_and_says_why(console: ConsoleRig) -> None:
    stranger = console.stranger()
    shown = await stranger.sign_in("tk_live_nothing")
    assert shown.status == 403
    assert "expired, or has not the scope <code>read</code>." in shown.html
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


async def test_each_page_has_the_token_of_the_session_in_other_characters(
    console: ConsoleRig,
) -> None:
    person = await console.person("read")
    tokens = []
    for _ in range(2):
        await person.get("/")
        tokens.append(person.csrf)
    assert tokens[0][:64] != tokens[1][:64]
    assert tokens[0][64:] != tokens[1][64:]
    for token in tokens:  # a page that is open for long is as good as a new one
        shown = await person.send("/theme", csrf=token, theme="dark", follow=False)
        assert shown.headers["Location"] == "/console/"
    for odd in ("", "0" * 128, tokens[0][:64] + tokens[1][64:], "zz", tokens[0] + "00", "0" * 64):
        assert (await person.send("/theme", csrf=odd, theme="dark")).status == 409, odd


async def test_many_wrong_keys_are_slowed_down_and_keep_nobody_out(console: ConsoleRig) -> None:
    stranger, key = console.stranger(), await console.api.key("read")
    statuses = [(await stranger.sign_in(f"tk_live_{number}")).status for number in range(30)]
    assert statuses[-1] == 429
    assert "a right key still works" in (await stranger.sign_in("tk_live_nothing")).text
    assert "Overview" in (await stranger.sign_in(key)).text


async def test_a_sign_in_form_is_short(console: ConsoleRig) -> None:
    shown = await console.stranger().sign_in("x" * 100_000)
    assert (shown.status, "longer than 8 KiB" in shown.text) == (422, True)


@pytest.mark.parametrize("made_up", [True, False])
async def test_a_session_that_somebody_planted_becomes_nobodys(
    console: ConsoleRig, made_up: bool
) -> None:
    attacker, victim = await console.person("read"), console.stranger()
    [planted] = [it.value for it in attacker.session.cookie_jar if it.key == SESSION]
    victim.session.cookie_jar.update_cookies({SESSION: "made-up" if made_up else planted})
    key = await console.api.key("read")
    shown = await victim.send("/sign-in", key=key, follow=False)
    given = shown.headers["Set-Cookie"].partition(";")[0]
    assert given not in {f"{SESSION}=made-up", f"{SESSION}={planted}"}
    assert ("Sign in" in (await attacker.get("/")).text) is not made_up


async def test_the_cookies_are_out_of_reach_of_scripts_and_other_sites(
    console: ConsoleRig,
) -> None:
    shown = await console.stranger().send(
        "/sign-in", key=await console.api.key("read"), follow=False
    )
    [cookie] = shown.headers.getall("Set-Cookie")
    name, *attributes = cookie.split("; ")
    assert name.startswith(f"{SESSION}=")
    assert {it.lower() for it in attributes} == {"httponly", "path=/console", "samesite=lax"}


async def test_over_tls_the_cookies_are_sent_over_tls_only_and_no_other_host_can_plant_one(
    console_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDINGS_CONSOLE_URL", "https://tidings.example.com")
    async with console_serving(Settings().check()) as rig:
        key = await rig.api.key("read")
        headers = {"X-Forwarded-Proto": "http", "Origin": "https://tidings.example.com"}
        shown = await rig.stranger().send("/sign-in", key=key, headers=headers, follow=False)
        cookie, *attributes = shown.headers["Set-Cookie"].split("; ")
        assert {it.lower() for it in attributes} == {"httponly", "path=/", "samesite=lax", "secure"}
        name, _, token = cookie.partition("=")
        assert name == f"__Host-{SESSION}"
        for planted, wanted in ((cookie, "Overview"), (f"{SESSION}={token}", "Sign in")):
            # A page of another host can give the browser the second, and not the first.
            sent = {"Cookie": planted}
            async with rig.stranger().session.get(f"{rig.origin}/console/", headers=sent) as reply:
                assert f"<title>{wanted} ·" in await reply.text()


async def test_no_header_of_a_proxy_says_where_the_console_is(console: ConsoleRig) -> None:
    forged = {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example",
        "Forwarded": "host=evil.example",
    }
    shown = await console.stranger().send(
        "/sign-in", key=await console.api.key("read"), headers=forged, follow=False
    )
    assert shown.headers["Location"] == "/console/"
    assert "Secure" not in shown.headers["Set-Cookie"]


async def test_a_notice_is_seen_by_the_person_and_not_by_the_script_of_another_tab(
    console: ConsoleRig,
) -> None:
    person = await console.person()
    await person.get("/channels")
    await person.send("/channels/whatsapp/pause", note="INC-1", follow=False)
    script = {"Sec-Fetch-Dest": "empty"}
    async with person.session.get(f"{console.origin}/console/jobs", headers=script) as reply:
        assert "whatsapp is paused" not in await reply.text()
    assert "whatsapp is paused; workers follow" in (await person.get("/jobs")).text
    assert "whatsapp is paused; workers follow" not in (await person.get("/jobs")).text


async def test_a_slash_too_many_or_too_few_leads_to_no_other_host_or_scheme(
    console: ConsoleRig,
) -> None:
    person = await console.person("read")
    for path, place in (
        ("", "/console/"),
        ("?range=24h", "/console/?range=24h"),
        ("/jobs/?state=running", "/console/jobs?state=running"),
        ("//evil.example/", "/console//evil.example"),
    ):
        shown = await person.get(path, follow=False)
        assert (shown.status, shown.headers["Location"]) == (307, place)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE console_sessions SET expires_at = now()",
        "UPDATE console_sessions SET last_used_at = now() - interval '61 minutes'",
        "UPDATE api_keys SET expires_at = now()",
        "DELETE FROM console_sessions",
    ],
)
async def test_a_session_ends_by_itself(console: ConsoleRig, change: str) -> None:
    person = await console.person("read")
    assert "Overview" in (await person.get("/")).text
    await console.api.execute(change)
    shown = await person.get("/")
    assert "Sign in" in shown.text
    assert (
        (await person.send("/theme", theme="dark", follow=False))
        .headers["Location"]
        .startswith("/console/sign-in")
    )


async def test_signing_in_and_out_is_in_the_audit_trail(console: ConsoleRig) -> None:
    person = await console.person("read", name="trailed")
    await person.get("/")
    await person.send("/sign-out")
    entries = await console.api.fetch(
        "SELECT action, details FROM operator_actions WHERE actor LIKE 'console trailed tk_%' ORDER BY id"
    )
    assert [entry["action"] for entry in entries] == ["sign in", "sign out"]
    assert '"scopes": ["read"]' in entries[0]["details"]


async def test_a_sign_in_that_is_sent_slowly_holds_no_request_for_long(
    console: ConsoleRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert entrance.PATIENCE < forms.PATIENCE
    monkeypatch.setattr(entrance, "PATIENCE", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", console.api.api.port)
    writer.write(
        b"POST /console/sign-in HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\n\r\nkey="
    )
    async with asyncio.timeout(10):
        assert b" 422 " in await reader.readline()
    writer.close()


async def test_the_theme_is_one_of_ours_and_outlasts_the_browser(console: ConsoleRig) -> None:
    person = await console.person("read")
    shown = await person.send("/theme", theme="dark", back="/jobs", follow=False)
    assert "Max-Age=31536000" in shown.headers["Set-Cookie"]
    assert 'data-theme="dark"' in (await person.get("/")).html
    listed = (await person.get("/jobs?state=running&test=true")).html
    assert 'name="back" value="/jobs?state=running&amp;test=true"' in listed
    refused = (await person.send("/failures/find", add="nothing")).html
    assert 'name="back" value="/failures"' in refused  # what a form answered has no address
    for odd in ("☃", "x" * 10_000, 'dark"; Path=/'):
        shown = await person.send("/theme", theme=odd, follow=False)
        assert (shown.status, shown.headers["Location"]) == (303, "/console/")
        assert shown.headers["Set-Cookie"].startswith('tidings_theme=""; ')


async def test_a_browser_loads_script_and_style_once(console: ConsoleRig) -> None:
    person = await console.person("read")
    for address in re.findall(r'"/console(/assets/[^"]+)"', (await person.get("/")).html):
        shown = await person.get(address)
        assert "immutable" in shown.headers["Cache-Control"]
        assert shown.headers["Vary"] == "Accept-Encoding"  # a notice's cookie comes and goes
