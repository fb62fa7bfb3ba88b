"""Channels and providers in the console: states, orders with a reason, and their history."""

import re

import pytest
from tests.support.console_rig import ConsoleRig, Person

pytestmark = pytest.mark.asyncio(loop_scope="module")

DOWN = """
INSERT INTO circuits (channel, provider, worker, phase, reason, since, probe_at, seen_at)
VALUES ('email', 'primary', 'w1', 'open', '<b>no answer</b>', now() - interval '7 minutes', now() + interval '1 hour', now())
"""

OUTCOMES = """
INSERT INTO outcome_deltas (minute, tenant, channel, category, outcome, provider, kind, bucket, count, attempts, first_attempts)
SELECT date_trunc('minute', now()) - interval '5 minutes', 'default', 'email', 'receipt', outcome, provider, kind, bucket, count, count, count
  FROM (VALUES ('sent', 'smtp:one.example', '', 20, 5400), ('rejected', 'smtp:one.example', 'rejected', -1, 3),
               ('retry_later', 'smtp:one.example', 'unavailable', -1, 600), ('sent', 'smtp:two.example', '', 22, 60),
               ('sent', 'smtp:former.example', '', 22, 1), ('expired', '', '', -1, 9), ('sent', 'test', '', 1, 7000))
    AS counted (outcome, provider, kind, bucket, count)
"""


async def operator(console: ConsoleRig, **fields: str) -> Person:
    person = await console.person("read", "operate", name="jane", **fields)
    await person.get("/channels")
    return person


async def test_a_channel_is_paused_and_resumed_with_a_reason_that_the_history_keeps(
    console: ConsoleRig,
) -> None:
    person = await operator(console)
    shown = await person.send("/channels/sms/pause", note="INC-812, wrong <text>")
    assert shown.path == "/console/channels"
    assert "sms is paused; workers follow" in shown.text
    assert "Resume sms" in shown.text
    assert "INC-812, wrong &lt;text&gt;" in shown.html
    [order] = await console.api.fetch(
        "SELECT actor, note FROM channel_orders WHERE channel = 'sms' AND note LIKE 'INC-812, wrong%'"
    )
    assert order["actor"].startswith("console jane tk_live_")
    again = await person.send("/channels/sms/pause", note="INC-813")
    assert "sms was paused already" in again.text
    shown = await person.send("/channels/sms/resume")
    assert "sms is resumed" in shown.text
    assert "Pause sms" in shown.text
    assert "resumed" not in (await person.get("/channels")).text


async def test_a_provider_that_is_down_says_why_since_when_and_is_enabled_by_one_click(
    console: ConsoleRig,
) -> None:
    await console.api.execute(DOWN)
    person = await operator(console)
    shown = await person.get("/channels")
    assert "&lt;b&gt;no answer&lt;/b&gt;" in shown.html
    assert "7m ago" in shown.text
    assert "Enable primary" in shown.text
    assert "tidings channels enable email primary --note INC-812" in shown.text
    assert "/v1/channels/email/providers/primary/enable" in shown.text
    shown = await person.send("/channels/email/providers/primary/enable", note="they are back")
    assert "email primary is enabled" in shown.text
    orders = await console.api.fetch(
        "SELECT verb, note FROM channel_orders WHERE channel = 'email'"
    )
    assert [tuple(order.values()) for order in orders] == [("enable", "they are back")]


async def test_each_provider_has_the_rates_of_its_own_attempts(
    console: ConsoleRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"primary": "smtp:one.example", "backup": "smtp:two.example"}
    settings = console.api.backend.settings
    monkeypatch.setitem(settings.recorded_as, "email", names)
    await console.api.execute(OUTCOMES)
    shown = await (await operator(console)).get("/channels")
    lines = dict(re.findall(r'id="provider-email-(\S+?)">(.*?)</tr>', shown.html, re.DOTALL))
    numbers = {
        name: re.findall(r'class="number">([^<]*)<', line.replace("&lt;", "less than "))
        for name, line in lines.items()
    }
    sent, failed, retried, success, p95 = numbers["primary"]
    assert [float(sent), float(retried)] == pytest.approx([89, 9.9], abs=2)
    assert (failed, success) == ("less than 0.1", "90 %")
    assert p95.endswith("s")
    assert (float(numbers["backup"][0]), numbers["backup"][3]) == (1, "100 %")
    assert "not configured here" in lines["smtp:former.example"]
    assert set(lines) >= {"primary", "backup", "smtp:former.example"}
    assert "provider=smtp%3Atwo.example" in lines["backup"]
    key = await console.api.key("read", tenant="*")
    counted = await console.api.ask("GET", "/v1/stats?since=1h&channel=email", key)
    of_one = counted.data["providers"]["email"]["smtp:one.example"]
    assert (of_one["attempt_success_rate"], of_one["success_rate"]) == (5400 / 6003, 5400 / 5403)
    listed = await console.api.ask("GET", "/v1/channels", key)
    assert [
        (each["provider"], each["recorded_as"])
        for each in listed.data["data"]
        if each["channel"] == "email"
    ] == [(None, None), *names.items()]


async def test_who_may_only_look_sees_the_buttons_with_the_reason_and_can_t_use_them(
    console: ConsoleRig,
) -> None:
    person = await console.person("read")
    shown = await person.get("/channels")
    assert "Pause email" in shown.text
    assert "needs the role operator; yours is viewer" in shown.text
    assert (await person.send("/channels/email/pause")).status == 403


async def test_it_is_not_for_one_tenant_and_orders_are_not_for_test_keys(
    console: ConsoleRig,
) -> None:
    of_tenant = await console.person("read", "operate", tenant="shop")
    assert (await of_tenant.get("/channels")).status == 403
    assert (await of_tenant.send("/channels/email/pause")).status == 403
    assert 'href="/console/channels"' not in (await of_tenant.get("/")).html
    tester = await console.person("read", "operate", test=True)
    await tester.get("/channels")
    assert (await tester.send("/channels/email/pause")).status == 403
    assert not await console.api.fetch(
        "SELECT FROM channel_orders WHERE channel = 'email' AND verb = 'pause'"
    )


async def test_what_does_not_exist_is_not_found(console: ConsoleRig) -> None:
    person = await operator(console)
    for path in ("/channels/emial/pause", "/channels/email/providers/backup/disable"):
        assert (await person.send(path, note="x")).status == 404


async def test_nothing_is_stopped_by_a_click_alone(console: ConsoleRig) -> None:
    person = await console.person(name="clumsy")
    before = await console.api.fetch("SELECT count(*) FROM channel_orders")
    for page, path in (
        ("/channels", "/channels/webhook/pause"),
        ("/channels", "/channels/webhook/providers/primary/disable"),
        ("/schedules", "/schedules/dispatching/pause"),
        ("/keys", "/keys/tk_live_4bF9xQ2m/revoke"),
    ):
        shown = await person.get(page)
        form = shown.html.split(f'action="/console{path[:9]}')[1].partition("</form>")[0]
        assert 'name="note" maxlength="500" required' in form, path
        refused = await person.send(path, note=" ")
        assert (refused.status, "give a reason" in refused.text) == (422, True), path
    assert await console.api.fetch("SELECT count(*) FROM channel_orders") == before
