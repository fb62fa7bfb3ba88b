"""Keys made and revoked in the console, never with more rights than their maker's; and the audit trail."""

import re
import time
from datetime import UTC, datetime

import pytest
from tests.support.console_rig import ConsoleRig, Person, Shown, query_of

from tidings.ledger.operators import trail

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = re.compile(r"tk_(?:live|test)_\w{17,}")


def secret_of(shown: Shown) -> str:
    found = SECRET.search(shown.text)
    assert found is not None, shown.text
    return found[0]


async def at_keys(console: ConsoleRig, *scopes: str, **fields: object) -> Person:
    person = await console.person(*scopes, **fields)
    await person.get("/keys")
    return person


async def test_a_key_is_made_shown_once_used_and_revoked_with_a_reason(console: ConsoleRig) -> None:
    person = await at_keys(console, name="root")
    shown = await person.send(
        "/keys", name="ci", tenant="shop", scope=["read", "send"], expires="90d"
    )
    assert shown.status == 201
    assert shown.headers["Cache-Control"] == "no-store"
    secret = secret_of(shown)
    listed = await person.get("/keys")
    assert secret not in listed.html
    assert "read" in listed.text
    [key] = await console.api.fetch("SELECT * FROM api_keys WHERE prefix = $1", secret[:16])
    assert (key["name"], key["tenant"], set(key["scopes"])) == ("ci", "shop", {"read", "send"})
    assert key["created_by"].startswith("console root tk_live_")
    assert key["expires_at"] is not None
    shown = await person.send(f"/keys/{secret[:16]}/revoke", note="left the company")
    assert "is revoked, in every process" in shown.text
    assert (await person.send(f"/keys/{secret[:16]}/revoke", note="x")).status == 409
    assert secret[:16] in (await person.get("/keys?revoked=true")).text
    trail = await person.get("/audit?action=revoke+key")
    assert "left the company" in trail.text


async def test_nobody_makes_a_key_with_more_than_they_have(console: ConsoleRig) -> None:
    before = await console.api.fetch("SELECT FROM api_keys")
    person = await at_keys(console, "read", "admin", tenant="shop")
    tester = await at_keys(console, "read", "admin", tenant="shop", test=True)
    made = len(await console.api.fetch("SELECT FROM api_keys")) - len(before)
    shown = await person.send("/keys", scope=["read", "operate"], name="more")
    assert shown.status == 422
    assert "don&#39;t have operate yourself" in shown.html
    assert 'value="more"' in shown.html
    assert "you don't have it yourself" in shown.text.replace("&#39;", "'")
    for who, prefix in ((person, "tk_live_"), (tester, "tk_test_")):
        shown = await who.send("/keys", scope="read", tenant="*")
        secret = secret_of(shown)
        assert secret.startswith(prefix)
        [key] = await console.api.fetch("SELECT * FROM api_keys WHERE prefix = $1", secret[:16])
        assert key["tenant"] == "shop"
    after = await console.api.fetch("SELECT FROM api_keys")
    assert len(after) == len(before) + made + 2


async def test_another_tenant_s_key_is_none_and_a_test_key_knows_test_keys_only(
    console: ConsoleRig,
) -> None:
    of_acme = (await console.api.key("read", tenant="acme"))[:16]
    live = (await console.api.key("read", tenant="shop"))[:16]
    test = (await console.api.key("read", tenant="shop", test=True))[:16]
    person = await at_keys(console, "read", "admin", tenant="shop")
    tester = await at_keys(console, "read", "admin", tenant="shop", test=True)
    listed = (await person.get("/keys")).text
    assert [prefix in listed for prefix in (of_acme, live, test)] == [False, True, True]
    listed = (await tester.get("/keys")).text
    assert [prefix in listed for prefix in (of_acme, live, test)] == [False, False, True]
    assert (await person.send(f"/keys/{of_acme}/revoke", note="x")).status == 404
    assert (await tester.send(f"/keys/{live}/revoke", note="x")).status == 404
    [row] = await console.api.fetch(
        "SELECT count(revoked_at) AS n FROM api_keys WHERE prefix = ANY($1)", [of_acme, live]
    )
    assert row["n"] == 0


async def test_a_time_without_an_offset_is_utc_wherever_the_process_is(
    console: ConsoleRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await at_keys(console)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        shown = await person.send(
            "/keys", tenant="shop", scope="read", name="x", expires="2099-05-01T12:00"
        )
        assert shown.status == 201, shown.text
        trail = await person.get("/audit?since=2026-05-01T12:00")
    finally:
        monkeypatch.undo()
        time.tzset()
    [key] = await console.api.fetch("SELECT * FROM api_keys WHERE name = 'x'")
    assert key["expires_at"] == datetime(2099, 5, 1, 12, tzinfo=UTC)
    assert "since=2026-05-01T12%3A00%3A00%2B00%3A00" in trail.html


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"tenant": "shop"}, "name at least one of"),
        ({"tenant": "No Tenant", "scope": "read"}, "a tenant is lower-case letters"),
        ({"tenant": "shop", "scope": "read", "expires": "soon"}, "is not a time"),
        ({"tenant": "shop", "scope": "read", "expires": "2020-01-01T00:00Z"}, "lies in the past"),
        ({"tenant": "shop", "scope": "read", "name": "a" * 65}, "at most 64"),
    ],
)
async def test_what_is_wrong_with_a_key_is_said_beside_its_field(
    console: ConsoleRig, fields: dict[str, str], problem: str
) -> None:
    person = await at_keys(console)
    shown = await person.send("/keys", fields)
    assert shown.status == 422
    assert problem in shown.text


async def test_keys_and_the_trail_are_for_those_who_have_admin(console: ConsoleRig) -> None:
    person = await console.person("read", "send", "operate", "reveal")
    for path in ("/keys", "/audit"):
        assert (await person.get(path)).status == 403
        assert f'href="/console{path}"' not in (await person.get("/")).html
    assert (await person.send("/keys", tenant="shop", scope="read")).status == 403
    of_tenant = await console.person("read", "admin", tenant="shop")
    assert (await of_tenant.get("/audit")).status == 403


async def test_the_trail_is_filtered_and_paged(console: ConsoleRig) -> None:
    await console.api.execute(
        "INSERT INTO operator_actions (actor, action, note, details) "
        "SELECT 'cli mary@desk', 'paint', 'coat ' || n, '{\"wall\": \"<b>\"}' FROM generate_series(1, 60) AS n"
    )
    person = await console.person()
    shown = await person.get("/audit?add=actor:mary&action=paint&since=24h")
    assert query_of(shown.path) == {"action": "paint", "since": "24h", "actor": "mary"}
    assert "&lt;b&gt;" in shown.html
    assert "<b>&lt;" not in shown.html
    seen = set(re.findall(r">(coat \d+)<", shown.html))
    [following] = re.findall(r'href="/console(/audit\?[^"]*cursor[^"]*)" rel="next"', shown.html)
    shown = await person.get(following.replace("&amp;", "&"))
    older = set(re.findall(r">(coat \d+)<", shown.html))
    assert len(seen | older) == 60
    assert not seen & older
    assert (await person.get("/audit?since=soon")).status == 422
    signed_in = await person.get("/audit?action=sign+in")
    assert 'value="action:job running"' in signed_in.html
    assert ">sign in</a>" in signed_in.html


async def test_a_rare_actor_is_sought_page_by_page_and_each_says_how_far_it_has_looked(
    console: ConsoleRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trail, "LOOKED_AT", 30)
    await console.api.execute(
        "INSERT INTO operator_actions (at, actor, action, note) "
        "SELECT now() - n * interval '1 hour', CASE n % 40 WHEN 39 THEN 'cli rare@desk' ELSE 'cli often@desk' END, 'wash', 'wash ' || n "
        "  FROM generate_series(1, 100) AS n"
    )
    await console.api.execute(
        "INSERT INTO channel_orders (channel, provider, verb, actor, note, at) "
        "SELECT 'email', '', 'pause', 'cli rare@desk', 'order ' || n, now() - n * interval '1 hour' FROM unnest(ARRAY[1, 50, 90]) AS n"
    )
    person, found, pages = await console.person(), list[str](), 0
    following: list[str] = ["/audit?actor=rare"]
    while following:
        shown = await person.get(following[0].replace("&amp;", "&"))
        found += re.findall(r">((?:wash|order) \d+)<", shown.html)
        following = re.findall(r'href="/console(/audit\?[^"]*cursor[^"]*)" rel="next"', shown.html)
        assert ("looked back until" in shown.text) is bool(following)
        pages += 1
    # Other tests pause and resume channels in this database.
    await console.api.execute("DELETE FROM channel_orders WHERE actor = 'cli rare@desk'")
    assert found == ["order 1", "wash 39", "order 50", "wash 79", "order 90"]
    assert pages > 2
    key = await console.api.key("admin", tenant="*")
    page = await console.api.ask("GET", "/v1/audit?actor=nobody-at-all", key)
    assert (page.data["data"], page.data["next_cursor"] is None) == ([], False)
    assert page.data["searched_since"] is not None
