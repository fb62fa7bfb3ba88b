"""Schedules and schedulers in the console."""

from html import unescape
from typing import Any
from uuid import uuid4

import pytest
from tests.support.console_rig import ConsoleRig, query_of

from tidings.ledger.dead_letters.policies import Policies
from tidings.operations import schedules
from tidings.operations.actor import Actor
from tidings.operations.schedules import CreateScheduleRequest, ScheduleView

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONTENT = {"channel": "email", "subject": "Secret report", "body": "All is well, <Ada> & Børge."}


async def made(console: ConsoleRig, **fields: Any) -> ScheduleView:
    values: dict[str, Any] = {
        "name": f"report-{uuid4().hex[:8]}",
        "content": CONTENT,
        "recipients": ["ada@example.com", {"recipient": "bob@example.com", "user_id": "u7"}],
        "cron": "30 9 * * MON-FRI",
        "timezone": "Europe/Berlin",
        **fields,
    }
    request = CreateScheduleRequest(**values)
    return await schedules.create(console.api.backend, Actor("cli", "tester@desk"), request)


async def test_a_schedule_is_listed_with_its_next_time_in_its_zone_and_shown_masked(
    console: ConsoleRig,
) -> None:
    view = await made(console)
    person = await console.person("read")
    listed = await person.get("/schedules?state=active")
    due = view.next_times[0].strftime("%a %d %b, %H:%M %Z")
    assert view.schedule.name in listed.text
    assert due in listed.text
    assert due.endswith(("CET", "CEST"))
    shown = await person.get(f"/schedules/{view.schedule.id}")
    assert "2 recipients" in shown.text
    assert "It has not run yet" in shown.text
    for hidden in ("ada@example.com", "bob@example.com", "Secret report", "u7"):
        assert hidden not in shown.html
    assert "needs the role operator" in shown.text


async def test_it_is_paused_resumed_and_run_once_however_often_the_form_is_sent(
    console: ConsoleRig,
) -> None:
    view = await made(console)
    path = f"/schedules/{view.schedule.id}"
    person = await console.person("read", "send", "operate", name="jane")
    await person.get(path)
    shown = await person.send(f"{path}/pause", note="holidays")
    assert "is paused." in shown.text
    assert "no time comes" in shown.text
    assert (await person.send(f"{path}/pause")).status == 409
    shown = await person.send(f"{path}/resume")
    assert "is active." in shown.text
    for _ in range(2):
        shown = await person.send(f"{path}/run", key="4bf9")
        assert "sends 2 notifications now" in shown.text
    assert "by hand" in shown.text
    query = "SELECT FROM notifications WHERE producer = $1"
    assert len(await console.api.fetch(query, f"schedule {view.schedule.name}")) == 2
    trail = await console.api.fetch(
        "SELECT action, actor FROM operator_actions WHERE actor LIKE 'console jane%' AND action LIKE '%schedule' ORDER BY id"
    )
    actions = [entry["action"] for entry in trail]
    assert actions[:3] == ["pause schedule", "resume schedule", "run schedule"]


async def test_people_and_content_are_revealed_by_a_form_that_the_audit_trail_has(
    console: ConsoleRig,
) -> None:
    view = await made(console)
    path = f"/schedules/{view.schedule.id}/reveal"
    person = await console.person("read", "reveal", name="support")
    await person.get(f"/schedules/{view.schedule.id}")
    shown = await person.send(path)
    assert "ada@example.com" in shown.text
    assert "Secret report" in shown.text
    assert "All is well, <Ada> & Børge." in unescape(shown.html)
    [entry] = await console.api.fetch(
        "SELECT details FROM operator_actions WHERE actor LIKE 'console support%' AND action LIKE 'revealed%'"
    )
    assert str(view.schedule.id) in entry["details"]
    viewer = await console.person("read")
    await viewer.get(f"/schedules/{view.schedule.id}")
    assert (await viewer.send(path)).status == 403


async def test_its_page_has_its_runs_by_time_and_what_became_of_them(console: ConsoleRig) -> None:
    view = await made(console)
    id_, backend = view.schedule.id, console.api.backend
    shown = await (await console.person("read")).get(f"/schedules/{id_}")
    assert "No notification of its last ten runs is kept" in shown.text
    move = """
    UPDATE schedules SET cron = '* * * * *', created_at = now() - interval '1 day', next_run_at = date_trunc('minute', now())
     WHERE id = $1
    """
    await console.api.execute(move, id_)
    run = await backend.ledger.schedules.running.run_next(Policies(backend.settings).expires_at)
    assert run is not None
    assert (run.schedule.id, run.notifications) == (id_, 2)
    cancel = "UPDATE notifications SET state = 'cancelled' WHERE producer = $1 AND recipient = 'bob@example.com'"
    await console.api.execute(cancel, f"schedule {view.schedule.name}")
    shown = await (await console.person("read")).get(f"/schedules/{id_}")
    runs = shown.text.partition("Runs by time")[2]
    assert "2 queued 1 cancelled 1" in runs or "2 cancelled 1 queued 1" in runs
    assert f"{run.schedule.next_run_at:%H:%M}"[-2:] in runs


async def test_another_tenant_s_schedule_is_none_and_a_test_key_sees_tests_only(
    console: ConsoleRig,
) -> None:
    view = await made(console, tenant="acme")
    test = await made(console, tenant="shop", test=True)
    live = await made(console, tenant="shop")
    scopes = ("read", "send", "operate", "reveal")
    person = await console.person(*scopes, tenant="shop")
    tester = await console.person(*scopes, tenant="shop", test=True)
    listed = await person.get("/schedules")
    assert view.schedule.name not in listed.text
    assert live.schedule.name in listed.text
    assert "Dispatching" not in listed.text
    listed = await tester.get("/schedules")
    assert test.schedule.name in listed.text
    assert live.schedule.name not in listed.text
    for who, schedule in ((person, view), (tester, live)):
        path = f"/schedules/{schedule.schedule.id}"
        assert (await who.get(path)).status == 404
        for verb in ("pause", "resume", "run", "reveal"):
            assert (await who.send(f"{path}/{verb}")).status == 404, verb


async def test_dispatching_is_paused_and_resumed_by_those_who_may(console: ConsoleRig) -> None:
    person = await console.person("read", "operate", name="ops")
    shown = await person.get("/schedules")
    assert "No scheduler runs" in shown.text
    shown = await person.send("/schedules/dispatching/pause", note="INC-812")
    assert "Dispatching is paused." in shown.text
    assert "INC-812" in shown.text
    assert "dispatching was paused by console ops" in (await person.get("/")).text
    shown = await person.send("/schedules/dispatching/resume")
    assert "Dispatching is resumed." in shown.text
    viewer = await console.person("read")
    await viewer.get("/schedules")
    assert (await viewer.send("/schedules/dispatching/pause")).status == 403
    of_tenant = await console.person("read", "operate", tenant="shop")
    assert (await of_tenant.send("/schedules/dispatching/pause")).status == 403


async def test_a_key_that_may_operate_and_not_send_runs_no_schedule(console: ConsoleRig) -> None:
    view = await made(console)
    person = await console.person("read", "operate")
    await person.get("/schedules")
    assert (await person.send(f"/schedules/{view.schedule.id}/run")).status == 403


async def test_a_filter_is_added_as_a_chip_and_one_that_is_none_is_refused(
    console: ConsoleRig,
) -> None:
    person = await console.person("read")
    shown = await person.get("/schedules?add=state:paused&tenant=acme")
    assert query_of(shown.path) == {"tenant": "acme", "state": "paused"}
    assert (await person.get("/schedules?state=gone")).status == 422
