"""Alerts in the console: rules are made, tried out, changed and deleted by forms; no secret is shown, nor what is another's."""

import re
from typing import Any
from uuid import uuid4

import pytest
from tests.support.console_rig import ConsoleRig, Person, Shown
from tests.support.paging import paging

from tidings.runtime.sealing import Seals

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    # Apprise loads a hundred services, some of them older than Python.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning"),
]


def form(**fields: Any) -> dict[str, Any]:
    return {
        "name": f"rule-{uuid4().hex[:8]}",
        "watch": "dead_letters",
        "threshold": "10",
        "window": "5m",
        "every": "15m",
        "to_channel": "email",
        "recipient": "ops@example.com",
        **fields,
    }


async def admin(console: ConsoleRig, tenant: str = "shop", **how: Any) -> Person:
    person = await console.person("read", "admin", tenant=tenant, **how)
    await person.get("/alerts")
    return person


def path_of(shown: Shown) -> str:
    assert shown.status == 200, shown.text
    found = re.search(r"^/console(/alerts/[0-9a-f-]{36})", shown.path)
    assert found, shown.path
    return found[1]


async def test_a_rule_is_made_changed_disabled_and_deleted(console: ConsoleRig) -> None:
    person, made = await admin(console), form(category="otp")
    shown = await person.send("/alerts/new", made)
    path = path_of(shown)
    assert "10 dead letters in 5m: category otp" in shown.text
    assert "email to o…@example.com" in shown.text
    assert "ops@example.com" not in shown.html
    assert "Nothing yet" in shown.text
    listed = await person.get("/alerts")
    assert made["name"] in listed.text
    edited = await person.get(f"{path}/edit")
    assert 'value="otp"' in edited.html
    assert "ops@example.com" not in edited.html
    changed = {**made, "category": "", "threshold": "20", "to_channel": "", "recipient": ""}
    shown = await person.send(f"{path}/edit", changed)
    assert "20 dead letters in 5m" in shown.text
    assert "category otp" not in shown.text
    assert "email to o…@example.com" in shown.text  # what is not typed again stays
    assert "disabled" in (await person.send(f"{path}/disable")).text
    assert "enabled" in (await person.send(f"{path}/enable")).text
    gone = await person.send(f"{path}/delete")
    assert gone.path == "/console/alerts"
    assert (await person.get(path)).status == 404


async def test_of_two_who_edit_a_rule_the_second_is_told_and_nothing_is_overwritten(
    console: ConsoleRig,
) -> None:
    jane, mary = await admin(console, "*"), await admin(console, "*", name="mary")
    path = path_of(await jane.send("/alerts/new", form(watch="queues", queue="tidings.email.high")))
    shown = await jane.get(path)
    assert "10 messages in a queue, the oldest for 5m: queue tidings.email.high" in shown.text
    based_on = {}
    for person in (jane, mary):
        page = (await person.get(f"{path}/edit")).html
        found = re.search(r'name="based_on" value="([^"]+)"', page)
        assert found
        based_on = {"based_on": found[1]}
    made = form(watch="queues", threshold="20", remind="1h", all_clear="yes", **based_on)
    assert "again every 1h; and when it is over" in (await mary.send(f"{path}/edit", made)).text
    late = await jane.send(f"{path}/edit", form(watch="queues", threshold="30", **based_on))
    assert late.status == 422
    assert "mary" in late.text
    assert "changed the rule at" in late.text
    assert "20 messages in a queue" in (await jane.get(path)).text


async def test_what_is_typed_wrongly_is_said_at_its_field_and_nothing_is_lost(
    console: ConsoleRig,
) -> None:
    person = await admin(console, "*")
    for fields, text in (
        ({"window": "soon"}, "is not a length of time"),
        ({"remind": "often"}, "is not a length of time"),
        ({"watch": "queues", "queue": "tidings.fax"}, "tidings.fax"),
        ({"threshold": "many"}, "write a whole number"),
        ({"name": ""}, "printable characters"),
        ({"watch": "weather"}, "choose what is watched"),
        ({"recipient": "nobody"}, "recipient"),
        ({"to_channel": "", "url": "carrier-pigeon://s3cret-loft"}, "does not support"),
    ):
        shown = await person.send("/alerts/new", form(category="typed-before", **fields))
        assert shown.status == 422, fields
        assert text in shown.text
        assert 'aria-invalid="true"' in shown.html
        assert "typed-before" in shown.html
        assert "s3cret" not in shown.html


async def test_a_test_shows_what_the_receiver_answered(console: ConsoleRig) -> None:
    person = await admin(console, "*")
    async with paging() as pager:
        url = pager.url.replace("/page", "/page?+X-Token=s3cret-token")
        path = path_of(await person.send("/alerts/new", form(url=url, to_channel="", recipient="")))
        sent = await person.send(f"{path}/test")
        pager.status = 403
        refused = await person.send(f"{path}/test")
    assert "the receiver answered: accepted" in sent.text
    assert "The test failed after" in refused.text
    assert "403" in refused.text
    assert [alert["title"] for alert in pager.alerts] == ["Tidings: test"] * 2
    shown = await person.get(path)
    assert "json://127.0.0.1/…" in shown.text
    assert "asked for" in shown.text
    for page in (sent, refused, shown, await person.get(f"{path}/edit")):
        assert "s3cret" not in page.html


async def test_a_broken_receiver_is_shown_at_its_rule(console: ConsoleRig) -> None:
    person = await admin(console)
    path = path_of(await person.send("/alerts/new", form()))
    await console.api.execute(
        "UPDATE alert_rules SET error = 'no answer within 20s', failing_since = now() WHERE id = $1::text::uuid",
        path.rpartition("/")[2],
    )
    for page in (path, "/alerts"):
        shown = await person.get(page)
        assert "no answer within 20s" in shown.text
        assert "failing" in shown.text


async def test_people_of_one_tenant_have_its_rules_only_and_set_no_url(
    console: ConsoleRig,
) -> None:
    everybody, shop = await admin(console, "*"), await admin(console)
    for tenant in ("bank", ""):
        made = form(tenant=tenant)
        path = path_of(await everybody.send("/alerts/new", made))
        assert (await shop.get(path)).status == 404
        assert made["name"] not in (await shop.get("/alerts")).text
        for verb in ("test", "disable", "delete", "edit"):
            assert (await shop.send(f"{path}/{verb}", form())).status == 404
    blank = await shop.get("/alerts/new")
    assert "only somebody who acts for all tenants may set one" in blank.text
    url = await shop.send("/alerts/new", form(url="slack://T1/B2/token", to_channel=""))
    assert url.status == 422


async def test_viewers_see_rules_and_why_they_may_not_change_them(console: ConsoleRig) -> None:
    path = path_of(await (await admin(console)).send("/alerts/new", form()))
    viewer = await console.person("read", tenant="shop")
    for page in (path, "/alerts"):
        shown = await viewer.get(page)
        assert shown.status == 200
        assert "needs the role admin; yours is viewer" in shown.text
    assert (await viewer.get(f"{path}/edit")).status == 403


async def test_urls_that_are_not_sealed_are_named_and_sealed_by_a_button_or_a_request(
    console: ConsoleRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    person, url = await admin(console, tenant="*"), "slack://T1B2C3D4E/A1B2C3D4E/s3cret"
    made = form(name="stale", to_channel="", recipient="", url=url)
    path_of(await person.send("/alerts/new", made))
    assert "Seal them anew" not in (await person.get("/alerts")).text
    await console.api.execute("UPDATE alert_rules SET url = $1 WHERE name = 'stale'", url)
    shown = await person.get("/alerts")
    assert "stale (not at all)" in shown.text
    assert "tidings alerts reseal" in shown.text
    viewer, of_one = (
        await console.person("read", tenant="*"),
        await console.api.key("admin", tenant="shop"),
    )
    await viewer.get("/alerts")
    assert (await viewer.send("/alerts/reseal")).status == 403
    assert (await console.api.ask("POST", "/v1/alert-rules/reseal", of_one)).status == 403
    shown = await person.send("/alerts/reseal")
    assert "1 URL sealed anew." in shown.text
    assert "stale (not at all)" not in shown.text
    [row] = await console.api.fetch("SELECT url FROM alert_rules WHERE name = 'stale'")
    assert row["url"].startswith("sealed:")
    await console.api.execute("UPDATE alert_rules SET url = 'sealed:gone:x' WHERE name = 'stale'")
    assert "send nothing: stale" in (await person.get("/alerts")).text
    key = await console.api.key("admin", tenant="*")
    again = await console.api.ask("POST", "/v1/alert-rules/reseal", key)
    assert (again.status, again.data) == (200, {"resealed_count": 0, "unopened_count": 1})
    monkeypatch.setattr(Seals, "newest", None)  # no key at all
    shown = await person.get("/alerts")
    assert "the API has no TIDINGS_SEALING_KEYS" in shown.text
    assert "send nothing" not in shown.text  # for archivers may have the key
