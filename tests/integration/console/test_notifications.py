"""Notifications in the console: found and filtered, their stories, and what those who may can do about one."""

import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from tests.support.attempts import attempt_of
from tests.support.console_rig import ConsoleRig, query_of
from tests.support.ledger_rig import BOUNCE, LedgerRig, record_of, request_of

from tidings.delivery.states import State

pytestmark = pytest.mark.asyncio(loop_scope="module")

ADDRESS = "ada@example.com"


@pytest_asyncio.fixture(loop_scope="module")
async def rig(console: ConsoleRig) -> AsyncIterator[LedgerRig]:
    """The ledger behind the console."""
    yield LedgerRig(console.api.backend.ledger.database)


def a_tenant() -> str:
    return f"t{uuid4().hex[:8]}"


async def stored(rig: LedgerRig, state: State = State.SENT, **fields: Any) -> UUID:
    attempt = attempt_of(**fields)
    await rig.put(attempt, state)
    return attempt.id


async def audited(console: ConsoleRig, action: str) -> list[Any]:
    rows = await console.api.fetch(
        "SELECT actor, details FROM operator_actions WHERE action = $1 ORDER BY id", action
    )
    return [(row["actor"], json.loads(row["details"])) for row in rows]


async def test_filters_are_in_the_address_and_a_chip_removes_one(
    console: ConsoleRig, rig: LedgerRig
) -> None:
    tenant = a_tenant()
    sent = await stored(rig, tenant=tenant, user_id="ada")
    failed = await stored(rig, State.FAILED, tenant=tenant, user_id="bob")
    person = await console.person("read", tenant=tenant)
    page = await person.get("/notifications")
    assert str(sent) in page.html
    assert str(failed) in page.html
    page = await person.send("/notifications/find", add="state:failed")
    assert query_of(page.path) == {"state": "failed"}
    assert str(failed) in page.html
    assert str(sent) not in page.html
    assert "no such user" in page.text
    page = await person.send("/notifications/find", state="failed", add="channel:sms")
    assert query_of(page.path) == {"state": "failed", "channel": "sms"}
    assert "No notification matches" in page.text
    assert 'href="/console/notifications?channel=sms"' in page.html
    assert str(sent) in (await person.get("/notifications?user_id=ada")).html


async def test_only_who_may_reveal_searches_subjects(console: ConsoleRig, rig: LedgerRig) -> None:
    tenant = a_tenant()
    found = await stored(rig, tenant=tenant, subject="Your code is 4711")
    path = "/notifications?subject=code+is+4"
    viewer = await console.person("read", tenant=tenant)
    assert (await viewer.get(path)).status == 403
    assert (await viewer.get(path.replace("?", "/export?"))).status == 403
    assert "subject:" not in (await viewer.get("/notifications")).html
    support = await console.person("read", "send", "reveal", tenant=tenant)
    assert str(found) in (await support.get(path)).html


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("state=gone", "&#39;gone&#39; is unknown"),
        ("since=yesterday", "is not a time"),
        ("entity=:7", "write it like order"),
        ("cursor=x", "it is no cursor"),
    ],
)
async def test_a_filter_that_can_not_be_read_is_named_beside_the_others(
    console: ConsoleRig, query: str, words: str
) -> None:
    person = await console.person("read")
    page = await person.get(f"/notifications?{query}&channel=email")
    assert page.status == 422
    assert words in page.html
    assert "Remove the filter channel: email" in page.html


async def test_older_pages_follow_until_all_were_shown(
    console: ConsoleRig, rig: LedgerRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidings.console.pages.notifications.ROWS", 2)
    tenant = a_tenant()
    ids = {str(await stored(rig, tenant=tenant)) for _ in range(5)}
    person = await console.person("read", tenant=tenant)
    seen, path = set[str](), "/notifications?state=sent"
    for _ in range(3):
        page = await person.get(path)
        seen |= {id_ for id_ in ids if id_ in page.html}
        [*_, older] = page.html.split('rel="next"')[0].split('href="')
        path = older.split('"')[0].removeprefix("/console").replace("&amp;", "&")
    assert seen == ids


async def test_an_address_that_is_searched_for_is_in_no_url(
    console: ConsoleRig, rig: LedgerRig
) -> None:
    tenant, address = a_tenant(), f"{uuid4().hex}@example.com"
    id_ = await stored(rig, tenant=tenant, recipient=address)
    person = await console.person("read", tenant=tenant)
    await person.get("/notifications")
    for typed in (address, address.upper(), f"recipient:{address}"):
        page = await person.send("/notifications/find", add=typed)
        assert str(id_) in page.html, typed
        assert address not in page.path.lower()
        assert page.path.count("recipient=~") == 1
    user = await stored(rig, tenant=tenant, user_id="ada-lovelace")
    page = await person.send("/notifications/find", add="user_id:ada-lovelace")
    assert str(user) in page.html
    [of_user] = re.findall(
        r'href="/console(/notifications\?user_id=[^"]*)">ada-lovelace', page.html
    )
    assert str(user) in (await person.get(of_user)).html
    reader = await console.person("read", "reveal", tenant=tenant)
    await reader.get("/notifications")
    content = await reader.send("/notifications/find", add="subject:Secret plans")
    for part in (page.path, of_user, content.path):
        assert "=~" in part
        assert not re.search("lovelace|secret|plans", part, re.IGNORECASE)
    page = await person.send("/notifications/find", add=address)
    by_hand = await person.get(f"/notifications?recipient={address}")
    assert str(id_) in by_hand.html
    assert address not in by_hand.path
    other = await console.person("read", tenant=tenant)
    elsewhere = await other.get(page.path.removeprefix("/console"))
    assert "typed in another session" in elsewhere.text
    assert str(id_) not in elsewhere.html


async def test_an_id_its_beginning_or_a_user_is_found(console: ConsoleRig, rig: LedgerRig) -> None:
    tenant, user = a_tenant(), f"user-{uuid4().hex[:6]}"
    first = UUID(f"{uuid4().hex[:20]}{'0' * 12}")
    second = UUID(int=first.int + 1)
    third = uuid4()
    for id_ in (first, second, third):
        await stored(rig, tenant=tenant, id=id_, user_id=user)
    person = await console.person("read", tenant=tenant)
    await person.get("/notifications")
    for typed in (str(third), str(third)[:13], third.hex[:12].upper()):
        page = await person.send("/notifications/find", add=typed)
        assert page.path == f"/console/notifications/{third}", typed
    both = await person.send("/notifications/find", add=first.hex[:16])
    assert str(first) in both.html
    assert str(second) in both.html
    assert str(third) not in both.html
    by_user = await person.send("/notifications/find", add=user)
    assert list(query_of(by_user.path)) == ["user_id"]
    assert str(third) in by_user.html
    stranger = await console.person("read", tenant=a_tenant())
    await stranger.get("/notifications")
    unknown = await stranger.send("/notifications/find", add=third.hex[:12])
    assert str(third) not in unknown.html


async def test_the_story_tells_attempts_errors_and_what_comes_next(
    console: ConsoleRig, rig: LedgerRig
) -> None:
    tenant = a_tenant()
    attempt = attempt_of(tenant=tenant, user_id="ada", entity={"type": "order", "id": "7"})
    await rig.claim(request_of(attempt, "t"))
    await rig.records.record([record_of(attempt, "t", BOUNCE)])
    person = await console.person("read", tenant=tenant)
    page = await person.get(f"/notifications/{attempt.id}")
    for words in (
        "attempt 1: failed",
        "rejected: no such user",
        "smtp:relay · 550 · 20ms",
        "Rule rejected",
        "Next: Nothing: its dead letter is not archived yet",
    ):
        assert words in page.text
    assert f'href="/console/notifications?entity={"order%3A7"}"' in page.html
    assert re.search(r'href="/console/notifications\?user_id=~[^"]*">ada<', page.html)
    assert ADDRESS not in page.html
    assert "How are you?" not in page.html


async def test_of_megabytes_a_page_shows_the_beginning(console: ConsoleRig, rig: LedgerRig) -> None:
    tenant = a_tenant()
    id_ = await stored(rig, tenant=tenant, body="B" * 1_000_000)
    support = await console.person("read", "reveal", tenant=tenant)
    await support.get(f"/notifications/{id_}")
    page = await support.send(f"/notifications/{id_}")
    assert "BBB… and 737,856 more characters" in page.text
    assert len(page.html) < 600_000


async def test_people_and_content_are_revealed_after_the_audit_trail_has_it(
    console: ConsoleRig, rig: LedgerRig
) -> None:
    tenant = a_tenant()
    html = '<p onclick="steal()">Dear <b>Ada</b></p><script>steal()</script><img src="https://spy.example/x.png">'
    id_ = await stored(rig, tenant=tenant, html=html)
    path = f"/notifications/{id_}"
    viewer = await console.person("read", tenant=tenant)
    page = await viewer.get(path)
    assert "needs the role support; yours is viewer" in page.text
    assert (await viewer.send(path)).status == 403
    support = await console.person("read", "reveal", "send", tenant=tenant, name="sue")
    await support.get(path)
    page = await support.send(path)
    assert page.status == 200
    assert ADDRESS in page.text
    assert "How are you?" in page.text
    [(actor, details)] = [
        entry
        for entry in await audited(console, "revealed people and content")
        if entry[1] == {"id": str(id_)}
    ]
    assert actor.startswith("console sue ")
    assert details == {"id": str(id_)}
    frame = page.html.split("srcdoc=")[1].split("</iframe>")[0]
    assert "Dear &lt;b&gt;Ada&lt;/b&gt;" in frame
    for unsafe in ("onclick", "script", "spy.example"):
        assert unsafe not in frame
    assert 'sandbox=""' in page.html
    assert "data-live" not in page.html


async def test_one_is_cancelled_with_a_reason_and_only_while_it_can_be(
    console: ConsoleRig, rig: LedgerRig
) -> None:
    tenant = a_tenant()
    id_ = await stored(rig, State.RETRYING, tenant=tenant)
    path = f"/notifications/{id_}"
    support = await console.person("read", "send", tenant=tenant)
    await support.get(path)
    page = await support.send(f"{path}/cancel", note="")
    assert (page.status, await rig.state(id_)) == (422, State.RETRYING)
    assert "give a reason in a few words" in page.text
    page = await support.send(f"{path}/cancel", note="wrong customer")
    assert page.path == f"/console{path}"
    assert "Cancelled; it was retrying." in page.text
    assert "wrong customer" in page.text
    assert await rig.state(id_) is State.CANCELLED
    page = await support.send(f"{path}/cancel", note="once more")
    assert page.status == 409
    assert "it is cancelled already" in page.text


async def test_one_is_rescheduled_unless_it_has_changed_since_it_was_read(
    console: ConsoleRig, rig: LedgerRig
) -> None:
    tenant, due = a_tenant(), datetime.now(UTC) + timedelta(hours=1)
    attempt = attempt_of(tenant=tenant, scheduled_at=due.isoformat())
    await rig.claim(request_of(attempt, "t"))
    path = f"/notifications/{attempt.id}"
    support = await console.person("read", "send", tenant=tenant)
    page = await support.get(path)
    seen = page.html.split('name="updated_at" value="')[1].split('"')[0]
    page = await support.send(f"{path}/reschedule", scheduled_at="soon", updated_at=seen)
    assert (page.status, "is not a time" in page.text) == (422, True)
    fields = {"updated_at": seen, "timezone": "Europe/Berlin", "note": "later"}
    page = await support.send(
        f"{path}/reschedule", fields, scheduled_at=f"{due + timedelta(days=1):%Y-%m-%dT18:00}"
    )
    assert "Rescheduled: due" in page.text
    assert (await rig.row(attempt.id))["dispatch_at"] > due + timedelta(hours=12)
    page = await support.send(f"{path}/reschedule", scheduled_at="2h", updated_at=seen)
    assert page.status == 409
    assert "read it again" in page.text


async def test_a_due_time_at_which_clocks_change_says_what_it_became(
    console: ConsoleRig, rig: LedgerRig
) -> None:
    tenant, now = a_tenant(), datetime.now(UTC)
    attempt = attempt_of(tenant=tenant, scheduled_at=(now + timedelta(hours=1)).isoformat())
    await rig.claim(request_of(attempt, "t"))
    support = await console.person("read", "send", tenant=tenant)
    await support.get(f"/notifications/{attempt.id}")
    day = next(
        day
        for ahead in range(2, 300)
        if (day := now + timedelta(days=ahead)).month in {3, 10}
        and day.day > 24
        and day.weekday() == 6
    )
    page = await support.send(
        f"/notifications/{attempt.id}/reschedule",
        scheduled_at=f"{day:%Y-%m-%dT02:30}",
        timezone="Europe/Berlin",
    )
    local = "03:30" if day.month == 3 else "02:30"
    assert f"({day:%Y-%m-%d} {local} in Europe/Berlin)" in page.text
    assert "The clocks are put" in page.text


async def test_one_is_sent_again_once_however_often_the_button_is_pressed(
    console: ConsoleRig, rig: LedgerRig
) -> None:
    tenant = a_tenant()
    id_ = await stored(rig, tenant=tenant)
    path = f"/notifications/{id_}"
    support = await console.person("read", "send", "reveal", tenant=tenant)
    page = await support.get(path)
    once = page.html.split('name="once" value="')[1].split('"')[0]
    page = await support.send(f"{path}/resend", once=once, recipient="nobody")
    assert (page.status, page.path) == (422, f"/console{path}/resend")
    sent = [await support.send(f"{path}/resend", once=once) for _ in range(2)]
    assert "Sent again as this one" in sent[0].text
    assert sent[0].path == sent[1].path != f"/console{path}"
    copies = await rig.fetch("SELECT id FROM notifications WHERE tenant = $1", tenant)
    assert len(copies) == 2
    sender = await console.person("read", "send", tenant=tenant)
    await sender.get(path)
    page = await sender.send(f"{path}/resend", recipient="mallory@example.com")
    assert page.status == 403
    waiting = await stored(rig, State.RETRYING, tenant=tenant)
    page = await support.send(f"/notifications/{waiting}/resend")
    assert (page.status, "it may still arrive" in page.text) == (409, True)
    page = await support.send(f"/notifications/{waiting}/resend", force="on")
    assert "Sent again as this one" in page.text


async def test_nothing_of_another_tenant_and_nothing_live_for_a_test_key(
    console: ConsoleRig, rig: LedgerRig
) -> None:
    tenant = a_tenant()
    live = await stored(rig, State.RETRYING, tenant=tenant)
    test = await stored(rig, State.RETRYING, tenant=tenant, test=True)
    stranger = await console.person(tenant=a_tenant())
    tester = await console.person(tenant=tenant, test=True)
    for person, id_ in ((stranger, live), (stranger, test), (tester, live)):
        await person.get("/notifications")
        path = f"/notifications/{id_}"
        assert (await person.get(path)).status == 404
        assert (await person.send(path)).status == 404
        assert (await person.send(f"{path}/cancel", note="mine now")).status == 404
        assert (await person.send(f"{path}/resend", force="on")).status == 404
        assert (await person.send(f"{path}/reschedule", scheduled_at="2h")).status == 404
        assert str(id_) not in (await person.get("/notifications")).html
        assert str(id_) not in (await person.get("/notifications/export")).html
    assert (await stranger.get(f"/notifications?tenant={tenant}")).status == 403
    assert (await tester.get("/notifications?test=false")).status == 403
    assert await rig.state(live) is State.RETRYING
    page = await tester.get("/notifications")
    assert str(test) in page.html
    assert (await tester.get(f"/notifications/{test}")).status == 200


async def test_an_export_has_what_is_shown_and_recipients_for_those_who_may(
    console: ConsoleRig, rig: LedgerRig
) -> None:
    tenant = a_tenant()
    sent = await stored(rig, tenant=tenant)
    failed = await stored(rig, State.FAILED, tenant=tenant)
    support = await console.person("read", "reveal", tenant=tenant, name="exporter")
    page = await support.get("/notifications?state=failed")
    assert "/console/notifications/export?state=failed&amp;format=csv" in page.html
    export = await support.get("/notifications/export?state=failed&format=csv")
    assert str(failed) in export.html
    assert str(sent) not in export.html
    assert ADDRESS not in export.html
    fields = {"state": "failed", "format": "ndjson"}
    revealed = await support.send("/notifications/export", fields)
    [row] = map(json.loads, revealed.html.splitlines())
    assert (row["id"], row["recipient"]) == (str(failed), ADDRESS)
    viewer = await console.person("read", tenant=tenant)
    await viewer.get("/notifications")
    assert (await viewer.send("/notifications/export", fields)).status == 403
    noted = [
        details
        for actor, details in await audited(console, "revealed people and content")
        if actor.startswith("console exporter ")
    ]
    assert noted == [{"filters": ["states", "tenant"], "tenant": tenant}]


async def test_a_message_that_no_worker_could_read_is_told_of_by_its_dead_letters(
    console: ConsoleRig,
) -> None:
    tenant, id_ = a_tenant(), uuid4()
    await console.api.execute(
        "INSERT INTO dead_letters (id, notification_id, reason, state, channel, tenant, body, fingerprint, first_failed_at,"
        " last_failed_at, dead_lettered_at, exchange, routing_key, headers, kind, message)"
        " VALUES ($1, $2, 'malformed', 'open', 'email', $3, '{}', 'f', now(), now(), now(), '', 'email.normal', '{}', 'malformed', 'no subject')",
        uuid4(),
        id_,
        tenant,
    )
    person = await console.person("read", tenant=tenant)
    page = await person.get(f"/notifications/{id_}")
    assert "never became a notification" in page.text
    assert "no subject" in page.text
    other = await console.person("read", tenant=a_tenant())
    assert (await other.get(f"/notifications/{id_}")).status == 404
