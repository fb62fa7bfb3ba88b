"""Dead letters in the console: groups, a group, one of them, and what is done with them."""

import html
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.support.console_rig import ConsoleRig, Person, Shown
from tests.support.stored_dead_letters import store_dead_letter

from tidings.console.pages import failures
from tidings.ledger.dead_letters import matching_groups

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def stored(console: ConsoleRig, group: str, tenant: str = "shop", **how: Any) -> str:
    return str(await store_dead_letter(console.api, group, tenant, **how))


async def operator(console: ConsoleRig, tenant: str = "shop", **fields: Any) -> Person:
    return await console.person("read", "operate", "reveal", tenant=tenant, **fields)


def job_of(shown: Shown) -> str:
    found = re.fullmatch(r"/console/jobs/([0-9a-f-]{36})", shown.path)
    assert found, shown.path
    return found[1]


async def test_groups_lead_to_their_dead_letters_and_those_to_a_replay(console: ConsoleRig) -> None:
    ids = [await stored(console, "aa01", message="mailbox full") for _ in range(3)]
    person = await operator(console)
    shown = await person.get("/failures?channel=email")
    assert "mailbox full" in shown.text
    assert "/console/failures/aa01" in shown.html
    shown = await person.get("/failures/aa01")
    assert all(id_ in shown.html for id_ in ids)
    assert "a…@example.com" in shown.text
    assert "ada@example.com" not in shown.html
    shown = await person.get(f"/failures/dead-letters/{ids[0]}")
    assert "It was refused for good" in shown.text
    shown = await person.send(f"/failures/dead-letters/{ids[0]}/replay")
    job = await console.api.fetch("SELECT * FROM jobs WHERE id = $1", UUID(job_of(shown)))
    assert (job[0]["state"], job[0]["items"], job[0]["tenant"]) == ("running", 1, "shop")
    assert "Replay 1 dead letter" in shown.text
    assert "Nothing is done yet: it begins in 10 seconds" in shown.text
    assert job[0]["starts_at"] > datetime.now(UTC) + timedelta(seconds=5)
    assert job_of(shown) in (await person.get("/jobs?state=running")).html
    undone = await person.send(f"/jobs/{job_of(shown)}/cancel")
    assert "cancelled" in undone.text
    assert "Replay" in (await person.get(f"/failures/dead-letters/{ids[0]}")).text
    states = await console.api.fetch("SELECT state FROM dead_letters WHERE id = $1", UUID(ids[0]))
    assert states[0]["state"] == "open"


async def test_what_does_not_match_is_left_out_and_a_wrong_filter_says_so(
    console: ConsoleRig,
) -> None:
    await stored(console, "ab02")
    person = await operator(console)
    for query in ("channel=sms", "reason=expired", "since=2026-11-01&until=2026-11-02"):
        shown = await person.get(f"/failures?{query}")
        assert (shown.status, "/console/failures/ab02" in shown.html) == (200, False), query
    for query, words in (
        ("since=yesterday", "'yesterday' is not a time"),
        ("reason=bad", "'bad' is unknown"),
        ("state=bad", "'bad' is unknown"),
        ("add=nothing", "'nothing' is no filter"),
    ):
        for path in ("/failures", "/failures/ab02"):
            assert words in (await person.get(f"{path}?{query}")).text, (path, query)


async def test_closed_ones_are_counted_among_the_newest_and_older_ones_by_a_link(
    console: ConsoleRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matching_groups, "LOOKED_AT", 2)
    for _ in range(3):
        await stored(console, "ab05", tenant="closed", reason="exhausted")
        await stored(console, "ab06", tenant="closed")
    close = (
        "UPDATE dead_letters SET state = 'discarded', dead_lettered_at = now() + CASE fingerprint WHEN 'ab05' THEN 1 ELSE 2 END"
        " * interval '1 hour' WHERE tenant = 'closed'"
    )
    await console.api.execute(close)
    person = await operator(console, tenant="closed")
    shown = await person.get("/failures?state=discarded&reason=rejected")
    assert "Dead letters, discarded, by fault: 3 dead letters in 1 group" in shown.text
    shown = await person.get("/failures?state=discarded&reason=exhausted")
    assert "None of those looked at match." in shown.text
    assert "older dead letters were not looked at" in shown.text
    (older,) = re.findall(r'<a href="/console([^"]*)">Count older ones', shown.html)
    shown = await person.get(html.unescape(older))
    assert "Dead letters, discarded, by fault: 3 dead letters in 1 group" in shown.text
    shown = await person.get("/failures?reason=exhausted")
    assert "No open dead letters match." in shown.text
    await console.api.execute("DELETE FROM dead_letters WHERE tenant = 'closed'")


async def test_tests_that_are_counted_in_part_are_not_said_to_be_all(
    console: ConsoleRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = f"t{uuid4().hex[:8]}"
    await stored(console, "ab07", tenant, test=True)
    tester = await operator(console, tenant, test=True)
    counted = "Counted back to"
    for path in ("/", "/failures/ab07"):
        assert counted not in (await tester.get(path)).text
    await console.api.execute(
        "UPDATE dead_letters SET dead_lettered_at = now() - interval '1 hour' WHERE tenant = $1",
        tenant,
    )
    for _ in range(2):
        await stored(console, "ab08", tenant, test=True)
    await console.api.execute(
        "UPDATE dead_letters SET state = 'discarded' WHERE tenant = $1 AND fingerprint = 'ab08'",
        tenant,
    )
    monkeypatch.setattr(matching_groups, "LOOKED_AT", 2)
    overview = await tester.get("/?range=6h")
    assert counted in overview.text
    assert "There is no open dead letter" not in overview.text
    group = await tester.get("/failures/ab07")
    assert counted in group.text
    assert "None of its dead letters is open" not in group.text
    assert "all 0" not in group.text
    assert "all open ones that match" in group.text


async def test_a_filter_that_is_typed_is_in_the_address_and_a_person_is_not(
    console: ConsoleRig,
) -> None:
    await stored(console, "ab03")
    person = await operator(console)
    for path in ("/failures", "/failures/ab03"):
        shown = await person.get(path)
        assert f'method="post" action="/console{path}/find"' in shown.html
        shown = await person.send(f"{path}/find", add="channel:email")
        assert shown.path == f"/console{path}?channel=email"
        shown = await person.send(f"{path}/find", add="recipient:ada@example.com", channel="email")
        assert "ada" not in shown.path
        assert "recipient: ada@example.com" in shown.text
        refused = await person.send(f"{path}/find", add="nothing", channel="email")
        assert (refused.status, "'nothing' is no filter" in refused.text) == (422, True)
        assert "channel: email" in refused.text
        assert "data-live" not in refused.html
        long = await person.send(f"{path}/find", add=f"recipient:{'a' * 500}@example.com")
        assert (long.status, "at most 500 characters" in long.text) == (422, True)
        assert (await person.send(f"{path}/find", channel="email")).path.endswith("?channel=email")


async def test_a_replay_of_many_is_proposed_in_canary_waves(console: ConsoleRig) -> None:
    for _ in range(21):
        await stored(console, "ac05")
    person = await operator(console)
    shown = await person.send("/failures/ac05/bulk", do="replay", which="all")
    job = job_of(shown)
    assert 'value="1,10,100"' in shown.html
    assert f"tidings jobs start {job} --canary 1,10,100 --stop-at 20% --starts-in 10s" in shown.text
    assert '"canary": [1, 10, 100], "max_failure_rate": 0.2' in shown.text


async def test_a_bulk_replay_takes_exactly_those_that_were_seen(console: ConsoleRig) -> None:
    seen = {await stored(console, "ac03") for _ in range(3)}
    await stored(console, "ac04")
    person = await operator(console)
    shown = await person.send("/failures/ac03/bulk", do="replay", which="all")
    job = job_of(shown)
    assert "Replay 3 dead letters?" in shown.text
    assert "What arrives later is not included" in shown.text
    assert all(id_ in shown.html for id_ in seen)
    await stored(console, "ac03")
    assert "Replay 3 dead letters?" in (await person.get(f"/jobs/{job}")).text
    refused = await person.send(f"/jobs/{job}/start", rate="fast", canary="1,2", stop_at="")
    assert (refused.status, "Rate: " in refused.text) == (422, True)
    assert 'value="fast"' in refused.html
    assert 'value="1,2"' in refused.html
    shown = await person.get(f"/jobs/{job}")
    assert f"tidings jobs start {job} --starts-in 10s" in shown.text
    shown = await person.send(f"/jobs/{job}/start", rate="50", canary="1,2", stop_at="10%")
    (row,) = await console.api.fetch("SELECT * FROM jobs WHERE id = $1", UUID(job))
    assert (row["state"], row["rate"], row["canary"], row["stop_at"]) == (
        "running",
        50,
        [1, 2],
        0.1,
    )
    items = await console.api.fetch("SELECT item FROM job_items WHERE job = $1", UUID(job))
    assert {str(item["item"]) for item in items} == seen


async def test_a_bulk_action_has_the_filters_of_the_page_and_no_address_names_a_person(
    console: ConsoleRig,
) -> None:
    await stored(console, "ac05", reason="exhausted")
    await stored(console, "ac05")
    person = await operator(console)
    shown = await person.get("/failures/ac05?recipient=ada@example.com&reason=exhausted")
    assert "ada" not in shown.path
    assert "recipient: ada@example.com" in shown.text
    fields = {"reason": "exhausted", "do": "discard", "which": "all"}
    sealed = re.findall(r'name="recipient" value="([^"]+)"', shown.html)[-1]
    refused = await person.send("/failures/ac05/bulk", fields, recipient=sealed)
    assert (refused.status, "recipient: ada@example.com" in refused.text) == (422, True)
    shown = await person.send("/failures/ac05/bulk", fields, recipient=sealed, note="tests")
    assert "Discard 1 dead letter?" in shown.text
    assert "recipient: a…@example.com" in shown.text


async def test_those_that_are_ticked_are_discarded_with_a_reason(console: ConsoleRig) -> None:
    ids = [await stored(console, "ad05") for _ in range(3)]
    person = await operator(console)
    for fields, words in (
        ({"do": "discard", "which": "ticked", "note": "tests"}, "tick the dead letters first"),
        ({"do": "discard", "which": "ticked", "dead_letter": ids[:2]}, "give a reason"),
        ({"do": "", "which": "all", "note": "tests"}, "press the button of what is to be done"),
        ({"do": "replay", "which": "ticked", "dead_letter": "x"}, "has no id"),
    ):
        refused = await person.send("/failures/ad05/bulk", fields)
        assert (refused.status, words in refused.text) == (422, True), refused.text
    for path in ("/failures/ad05", "/failures"):  # Enter in a field presses the first button
        html_ = (await person.get(path)).html
        assert html_.index('form="bulk" name="do" value="" hidden') < html_.index('value="replay"')
    kept = await person.send(
        "/failures/ad05/bulk", do="discard", which="ticked", dead_letter=ids[:2], note=" "
    )
    assert kept.html.count(" checked>") == 3  # two rows, and which
    shown = await person.send(
        "/failures/ad05/bulk", do="discard", which="ticked", dead_letter=ids[:2], note="test data"
    )
    assert "Discard 2 dead letters?" in shown.text
    assert "Reason: test data" in shown.text
    assert ids[2] not in shown.html


async def test_two_operators_act_on_the_same_and_the_second_is_told_who_was_faster(
    console: ConsoleRig,
) -> None:
    id_ = await stored(console, "ae06")
    first, second = await operator(console, name="jane"), await operator(console, name="joe")
    shown = await first.send(f"/failures/dead-letters/{id_}/discard", note="wrong address")
    assert "The dead letter was discarded." in shown.text
    for action, fields in (
        ("discard", {"note": "customer called"}),
        ("replay", {}),
        ("note", {"note": "asked"}),
    ):
        late = await second.send(f"/failures/dead-letters/{id_}/{action}", fields)
        assert late.status == 409
        assert "It was discarded by console jane" in late.text, late.text
    job = job_of(await first.send("/failures/bulk", do="discard", which="all", note="tests"))
    await first.send(f"/jobs/{job}/start")
    late = await second.send(f"/jobs/{job}/start")
    assert late.status == 409
    assert "The job is running by console jane" in late.text
    await first.send(f"/jobs/{job}/cancel", note="wrong group")
    for action in ("pause", "resume", "cancel"):
        late = await second.send(f"/jobs/{job}/{action}")
        assert (late.status, "cancelled by console jane" in late.text) == (409, True)


async def test_a_replay_that_waits_for_dispatching_says_so(console: ConsoleRig) -> None:
    await stored(console, "ad09")
    person, boss = await operator(console), await console.person(name="boss")
    job = job_of(await person.send("/failures/ad09/bulk", do="replay", which="all"))
    await person.send(f"/jobs/{job}/start")
    assert "Dispatching is paused" not in (await person.get(f"/jobs/{job}")).text
    await boss.get("/schedules")
    await boss.send("/schedules/dispatching/pause", note="wrong template")
    try:
        assert "Dispatching is paused" in (await person.get(f"/jobs/{job}")).text
    finally:
        await boss.send("/schedules/dispatching/resume")


async def test_the_newest_jobs_have_the_filters_of_the_older_ones(console: ConsoleRig) -> None:
    person, id_ = await operator(console, tenant="pager"), await stored(console, "ad0a", "pager")
    for _ in range(26):
        job = job_of(await person.send(f"/failures/dead-letters/{id_}/replay"))
        await person.send(f"/jobs/{job}/cancel")
    first = (await person.get("/jobs?state=cancelled")).html
    older = html.unescape(
        first.split('rel="next"')[0].rpartition('href="/console')[2].partition('"')[0]
    )
    shown = await person.get(older)
    assert "cursor=" in older
    assert 'href="/console/jobs?state=cancelled">Newest' in shown.html


async def test_who_presses_twice_is_told_nothing_and_everybody_else_who_was_faster(
    console: ConsoleRig,
) -> None:
    await stored(console, "ad07")
    person, other = await operator(console, name="quick"), await operator(console, name="slow")
    job = job_of(await person.send("/failures/ad07/bulk", do="replay", which="all"))
    await other.get(f"/jobs/{job}")
    for verb, state in (("start", "running"), ("pause", "paused"), ("cancel", "cancelled")):
        for _ in range(2):
            again = await person.send(f"/jobs/{job}/{verb}", follow=False)
            assert (again.status, again.headers["Location"]) == (303, f"/console/jobs/{job}"), verb
        late = await other.send(f"/jobs/{job}/{verb}")
        assert late.status == 409, verb
        assert f"The job is {state} by console quick" in late.text
        assert "data-live" not in late.html  # it is no address that a script can look at again
    dead_letter = f"/failures/dead-letters/{await stored(console, 'ad08')}"
    for _ in range(2):
        shown = await person.send(f"{dead_letter}/discard", note="test", follow=False)
        assert (shown.status, shown.headers["Location"]) == (303, f"/console{dead_letter}")
    assert (await other.send(f"{dead_letter}/discard", note="test")).status == 409
    shown = await person.get(f"/jobs/{job}")
    assert "left as it was" in shown.text
    assert "waiting" not in shown.text


async def test_while_a_canary_wave_is_watched_no_time_is_promised(console: ConsoleRig) -> None:
    for _ in range(4):
        await stored(console, "ca9a")
    person = await operator(console)
    job = job_of(await person.send("/failures/ca9a/bulk", do="replay", which="all"))
    await person.send(f"/jobs/{job}/start", rate="", canary="1,2", stop_at="20%")
    change = (
        "UPDATE jobs SET starts_at = now() - interval '10 seconds', holder = 'web-2', results = $2::jsonb, waves = $3::jsonb,"
        " lease_until = now() + $4 * interval '1 minute' WHERE id = $1"
    )
    wave = '{"sent": 1}'
    for done, waves, leased, shown in (
        (1, "[]", 1, "1 of 4 done. Watching a canary wave of 1: the others wait for its outcomes"),
        (2, f"[{wave}]", 1, "2 of 4 done. Sending a canary wave of 2: the others wait"),
        (3, f"[{wave}]", 1, "3 of 4 done. Watching a canary wave of 2: the others wait"),
        (3, f"[{wave}, {wave}]", 1, "3 of 4 done, 0.3 a second, "),
        (3, f"[{wave}, {wave}]", -1, "3 of 4 done. Waiting for a scheduler"),
    ):
        counts = f'{{"replayed": {done}}}'
        await console.api.execute(change, UUID(job), counts, waves, leased)
        text = (await person.get(f"/jobs/{job}")).text
        assert shown in text, text
        assert ("left" in text) == ("second" in shown)


async def test_a_job_is_paused_resumed_and_cancelled(console: ConsoleRig) -> None:
    await stored(console, "af07")
    person = await operator(console)
    job = job_of(await person.send("/failures/af07/bulk", do="replay", which="all"))
    for action, state in (
        ("start", "running"),
        ("pause", "paused"),
        ("resume", "running"),
        ("cancel", "cancelled"),
    ):
        shown = await person.send(f"/jobs/{job}/{action}", note="lunch")
        assert f'badge-{state}">{state}' in shown.html
    assert "wrong" not in shown.text
    assert f'/console/jobs/{job}"' in (await person.get("/jobs?state=cancelled")).html
    assert f'/console/jobs/{job}"' not in (await person.get("/jobs?state=running")).html


async def test_notes_are_kept_and_removed_on_one_and_on_a_group(console: ConsoleRig) -> None:
    id_ = await stored(console, "b008")
    person = await operator(console, name="jane")
    shown = await person.send("/failures/b008/note", note="new certificate")
    assert "new certificate" in shown.text
    assert "new certificate" in (await person.get("/failures")).text
    shown = await person.send(f"/failures/dead-letters/{id_}/note", note="asked her")
    assert "asked her console jane" in shown.text
    assert "new certificate" in shown.text
    assert (await person.send(f"/failures/dead-letters/{id_}/note", note=" ")).status == 422
    assert (
        "asked her"
        not in (await person.send(f"/failures/dead-letters/{id_}/note", remove="1")).text
    )
    shown = await person.send("/failures/b008/note", note=" ")
    assert (shown.status, "Note: it is empty" in shown.text) == (422, True)
    assert "new certificate" in shown.text  # it is the group's page
    shown = await person.send("/failures/b008/note", remove="1")
    assert "new certificate" not in shown.text


async def test_somebody_takes_care_of_a_group_until_nobody_does(console: ConsoleRig) -> None:
    await stored(console, "b015")
    person = await operator(console, name="jane")
    assert "Nobody takes care of it yet" in (await person.get("/failures/b015")).text
    shown = await person.send("/failures/b015/owner", owner="joe")
    assert "joe takes care of the group." in shown.text
    assert "<strong>joe</strong>" in (await person.get("/failures")).html
    shown = await person.send("/failures/b015/owner", owner="j" * 65)
    assert (shown.status, "Owner: it is not 1 to 64" in shown.text) == (422, True)
    assert "<strong>joe</strong>" in shown.html
    assert f'value="{"j" * 65}"' in shown.html
    shown = await person.send("/failures/b015/owner", remove="1")
    assert "Nobody takes care of it yet" in shown.text
    other = await operator(console, "bank")
    assert (await other.send("/failures/b015/owner", owner="eve")).status == 404


async def test_the_owner_of_a_group_is_shown_when_none_of_its_dead_letters_is_open(
    console: ConsoleRig,
) -> None:
    id_ = await stored(console, "b016")
    person = await operator(console, name="jane doe")
    proposed = re.search(
        r'name="owner"[^>]* value="([^"]*)"', (await person.get("/failures/b016")).html
    )
    assert proposed
    assert proposed[1] == "jane doe"
    await person.send("/failures/b016/owner", owner="joe")
    await console.api.execute(
        "UPDATE dead_letters SET state = 'discarded' WHERE id = $1", UUID(id_)
    )
    shown = await person.get("/failures/b016")
    assert "None of its dead letters is open any more" in shown.text
    assert "<strong>joe</strong>" in shown.html
    assert "Nobody takes care" in (await person.send("/failures/b016/owner", remove="1")).text


async def test_all_groups_are_found_page_by_page(
    console: ConsoleRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "GROUPS", 2)
    for group, times in (("e1", 2), ("e2", 1), ("e3", 1)):
        for _ in range(times):
            await stored(console, group, "paged")
    person = await operator(console, "paged")
    first = await person.get("/failures?channel=email")
    assert "3 dead letters in 2 groups on this page" in first.text
    following = re.search(r'href="/console(/failures\?[^"]*cursor=[^"]*)"', first.html)
    assert following
    second = await person.get(html.unescape(following[1]))
    assert "1 dead letter in 1 group on this page" in second.text
    assert "/console/failures/e3?channel=email" in second.html
    assert "Largest" in second.text
    assert (await person.get(html.unescape(following[1]).replace("email", "sms"))).status == 422


async def test_the_results_of_a_job_are_downloaded_by_those_who_may_see_it(
    console: ConsoleRig,
) -> None:
    id_ = await stored(console, "b016")
    person, other = await operator(console), await operator(console, "bank")
    job = job_of(await person.send("/failures/b016/bulk", do="replay", which="all"))
    saved = await person.get(f"/jobs/{job}/results.csv")
    assert saved.headers["Content-Disposition"].endswith(f"job-{job}.csv")
    head, row, *rest = saved.html.splitlines()
    assert (head.split(",")[:2], row.split(",")[:2], rest) == (
        ["position", "item_id"],
        ["1", id_],
        [],
    )
    assert (await other.get(f"/jobs/{job}/results.csv")).status == 404


async def test_people_and_content_are_shown_to_those_who_may_and_that_is_recorded(
    console: ConsoleRig,
) -> None:
    id_ = await stored(console, "b109", body="The secret word")
    person = await operator(console, name="jane")
    shown = await person.get(f"/failures/dead-letters/{id_}")
    assert "ada@example.com" not in shown.html
    assert "secret word" not in shown.html
    viewer = await console.person("read", tenant="shop")
    assert (await viewer.send(f"/failures/dead-letters/{id_}/reveal")).status == 403
    recorded = "SELECT actor FROM operator_actions WHERE details ->> 'dead_letter' = $1"
    assert await console.api.fetch(recorded, id_) == []
    shown = await person.send(f"/failures/dead-letters/{id_}/reveal")
    assert (shown.status, "ada@example.com" in shown.text) == (200, True)
    assert "The secret word" in shown.text
    (row,) = await console.api.fetch(recorded, id_)
    assert row["actor"].startswith("console jane")


async def test_who_may_only_look_is_told_why_and_changes_nothing(console: ConsoleRig) -> None:
    id_ = await stored(console, "b210")
    viewer = await console.person("read", tenant="shop")
    for path in ("/failures", "/failures/b210", f"/failures/dead-letters/{id_}"):
        shown = await viewer.get(path)
        assert "needs the role operator; yours is viewer" in shown.text
    for path in (
        "/failures/bulk",
        "/failures/b210/bulk",
        "/failures/b210/note",
        f"/failures/dead-letters/{id_}/replay",
        f"/failures/dead-letters/{id_}/discard",
        f"/failures/dead-letters/{id_}/note",
    ):
        assert (await viewer.send(path, do="replay", which="all", note="x")).status == 403, path


async def test_another_tenants_dead_letters_and_jobs_do_not_exist(console: ConsoleRig) -> None:
    id_ = await stored(console, "b311")
    owner, other = await operator(console), await operator(console, "bank")
    job = job_of(await owner.send("/failures/b311/bulk", do="replay", which="all"))
    assert "b311" not in (await other.get("/failures?tenant=shop")).html
    for path in ("/failures/b311", f"/failures/dead-letters/{id_}", f"/jobs/{job}"):
        assert (await other.get(path)).status == 404, path
    for path in (
        f"/failures/dead-letters/{id_}/reveal",
        f"/failures/dead-letters/{id_}/replay",
        f"/failures/dead-letters/{id_}/discard",
        f"/failures/dead-letters/{id_}/note",
        f"/jobs/{job}/start",
        f"/jobs/{job}/cancel",
        "/failures/b311/note",
    ):
        assert (await other.send(path, note="x")).status == 404, path
    shown = await other.send("/failures/b311/bulk", tenant="shop", do="replay", which="all")
    assert "Replay 0 dead letters?" in shown.text
    shown = await other.send("/failures/b311/bulk", do="replay", which="ticked", dead_letter=id_)
    assert "Replay 0 dead letters?" in shown.text
    (row,) = await console.api.fetch("SELECT state FROM dead_letters WHERE id = $1", UUID(id_))
    assert row["state"] == "open"


async def test_a_test_key_sees_tests_and_nothing_else(console: ConsoleRig) -> None:
    live, test = await stored(console, "b412"), await stored(console, "b413", test=True)
    tester = await operator(console, test=True)
    shown = await tester.get("/failures")
    assert ("/failures/b413" in shown.html, "/failures/b412" in shown.html) == (True, False)
    assert (await tester.get("/failures/b412")).status == 404
    assert (await tester.get(f"/failures/dead-letters/{live}")).status == 404
    assert (await tester.send(f"/failures/dead-letters/{live}/discard", note="x")).status == 404
    assert "Dead letter" in (await tester.get(f"/failures/dead-letters/{test}")).text
    shown = await tester.send("/failures/bulk", do="replay", which="all")
    assert live not in shown.html
    assert test in shown.html
    person = await operator(console)
    assert "b413" not in (await person.get("/failures")).html
    assert "b413" in (await person.get("/failures?test=true")).html
    job = job_of(await person.send("/failures/b412/bulk", do="replay", which="all"))
    assert (await tester.get(f"/jobs/{job}")).status == 404


async def test_what_is_no_id_or_group_is_not_found(console: ConsoleRig) -> None:
    person = await operator(console)
    for path in (
        "/failures/dead-letters/nothing",
        f"/failures/dead-letters/{uuid4()}",
        "/failures/zz",
        "/failures/00aa00",
        "/jobs/nothing",
        f"/jobs/{uuid4()}",
    ):
        assert (await person.get(path)).status == 404, path
