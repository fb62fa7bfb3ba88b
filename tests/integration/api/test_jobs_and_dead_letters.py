"""`/v1/jobs` and `/v1/dead-letters`: the same work as the commands', for each tenant its own."""

import asyncio
import base64
import csv
import io
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from tests.support.api_rig import ApiRig
from tests.support.stored_dead_letters import store_dead_letter
from tests.support.worker_rig import eventually

from tidings.ledger.dead_letters import groups, matching_groups
from tidings.ledger.steps import TimeLimit
from tidings.operations.jobs import results
from tidings.operations.jobs.hosting import JobHost
from tidings.runtime.background import end

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def made(api: ApiRig, tenant: str = "shop", group: str = "abc123") -> UUID:
    return await store_dead_letter(api, group, tenant)


@pytest_asyncio.fixture(loop_scope="module")
async def key(api: ApiRig) -> str:
    return await api.key("read", "operate", tenant="shop")


async def post(api: ApiRig, path: str, key: str, body: Any = None, **how: Any) -> Any:
    sent = {} if body is None else {"json": body}
    return await api.ask("POST", path, key, **sent, **how)


async def test_a_page_continues_where_the_one_before_ended_and_only_with_its_filters(
    api: ApiRig, key: str
) -> None:
    ids = {str(await made(api, group="aa01")) for _ in range(5)}
    path, seen, cursor = "/v1/dead-letters?fingerprint=aa01&limit=2", list[str](), ""
    while True:
        page = (await api.ask("GET", path + cursor, key)).data
        seen += [row["id"] for row in page["data"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert (len(seen), set(seen)) == (5, ids)
    for wrong in (f"/v1/dead-letters?limit=2{cursor}", f"{path}&cursor=nothing"):
        refused = await api.ask("GET", wrong, key)
        assert (refused.status, refused.data["errors"][0]["parameter"]) == (422, "cursor")


async def test_groups_tell_how_many_since_when_and_their_trend(api: ApiRig, key: str) -> None:
    for _ in range(3):
        newest = await made(api, group="bb02")
    answer = await api.ask("GET", "/v1/dead-letters/groups?fingerprint=bb02", key)
    (group,) = answer.data["data"]
    assert (group["count"], group["example_id"]) == (3, str(newest))
    assert (sum(group["trend"]["counts"]), len(group["trend"]["counts"])) == (3, 25)
    for filters in ("state=open&since=7d", "user_id=u1&since=30d"):
        path = f"/v1/dead-letters/groups?fingerprint=bb02&{filters}"
        for group in (await api.ask("GET", path, key)).data["data"]:
            assert group["trend"]["bucket_seconds"] == 86_400


async def test_groups_of_closed_ones_tell_how_far_back_they_are_counted(
    api: ApiRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await api.key("read", tenant="closed")
    path = "/v1/dead-letters/groups?state=discarded"
    for group in ("bb03", "bb03", "bb04"):
        await made(api, "closed", group)
        await api.execute("UPDATE dead_letters SET state = 'discarded' WHERE tenant = 'closed'")
    assert (await api.ask("GET", path, key)).data["searched_since"] is None
    monkeypatch.setattr(matching_groups, "LOOKED_AT", 2)
    monkeypatch.setattr(groups, "TimeLimit", lambda _: TimeLimit(0))
    first = (await api.ask("GET", path, key)).data
    assert [group["count"] for group in first["data"]] == [1, 1]
    page = (await api.ask("GET", f"{path}&limit=1", key)).data
    monkeypatch.setattr(groups, "TimeLimit", TimeLimit)
    rest = (await api.ask("GET", f"{path}&limit=1&cursor={page['next_cursor']}", key)).data
    assert (*page["data"], *rest["data"]) == (*first["data"],)
    assert rest["searched_since"] == first["searched_since"]
    monkeypatch.setattr(groups, "TimeLimit", lambda _: TimeLimit(0))
    until = first["searched_since"].replace("+", "%2B")
    rest = (await api.ask("GET", f"{path}&until={until}", key)).data
    assert [(group["fingerprint"], group["count"]) for group in rest["data"]] == [("bb03", 1)]


async def test_a_dead_letter_is_masked_unless_somebody_reveals_it_which_is_recorded(
    api: ApiRig, key: str
) -> None:
    path = f"/v1/dead-letters/{await made(api)}"
    shown = await api.ask("GET", path, key)
    assert b"ada@example.com" not in shown.body
    assert shown.data["outline"]["recipient"] == "a…@example.com"
    assert (shown.data["body_text"], shown.data["body_base64"]) == (None, None)
    assert (await api.ask("GET", f"{path}?reveal=true", key)).status == 403
    auditor = await api.key("read", "reveal", tenant="shop")
    revealed = (await api.ask("GET", f"{path}?reveal=true", auditor)).data
    assert revealed["recipient"] == "ada@example.com"
    assert base64.b64decode(revealed["body_base64"]).decode() == revealed["body_text"]
    noted = await api.fetch(
        "SELECT action FROM operator_actions WHERE details ->> 'dead_letter' = $1",
        path.rsplit("/", maxsplit=1)[-1],
    )
    assert [row["action"] for row in noted] == ["revealed people and content"]


async def test_an_edit_replaces_a_dead_letter_that_has_not_changed_and_keeps_both(
    api: ApiRig, key: str
) -> None:
    path = f"/v1/dead-letters/{await made(api)}"
    editor = await api.key("read", "operate", "reveal", tenant="shop")
    etag = (await api.ask("GET", path, key)).headers["ETag"]
    change = {"set": {"recipient": "grace@example.com"}}
    for field in ("recipient", "cc", "bcc"):  # somebody else would get to see the content
        refused = await api.ask("PATCH", path, key, json={"set": {field: "grace@example.com"}})
        assert (refused.status, "`reveal`" in refused.data["detail"]) == (403, True)
    noted = await api.ask("PUT", f"{path}/note", key, json={"note": "asked the customer"})
    assert (noted.status, noted.data["note"]) == (200, "asked the customer")
    stale = await api.ask("PATCH", path, editor, json=change, headers={"If-Match": etag})
    assert stale.status == 412
    etag = (await api.ask("GET", path, key)).headers["ETag"]
    invalid = await api.ask("PATCH", path, editor, json={"set": {"recipient": "nobody"}})
    assert (invalid.status, invalid.data["errors"][0]["pointer"]) == (422, "/set")
    assert (await api.ask("PATCH", path, key, json={})).status == 422
    edited = await api.ask("PATCH", path, editor, json=change, headers={"If-Match": etag})
    assert (edited.status, edited.data["state"]) == (201, "open")
    assert edited.data["supersedes"] == path.rsplit("/", maxsplit=1)[-1]
    assert (await api.ask("GET", edited.headers["Location"], key)).data["id"] == edited.data["id"]
    assert (await api.ask("GET", path, key)).data["state"] == "superseded"
    assert (await api.ask("PATCH", path, editor, json=change)).status == 409


async def test_a_dead_letter_is_discarded_once_with_a_note(api: ApiRig, key: str) -> None:
    path = f"/v1/dead-letters/{await made(api)}/discard"
    assert (await post(api, path, key, {"note": " "})).status == 422
    done = await post(api, path, key, {"note": "test data"})
    assert (done.status, done.data["state"], done.data["note"]) == (200, "discarded", "test data")
    assert "api-key" in done.data["updated_by"]
    assert (await post(api, path, key, {"note": "again"})).status == 409


async def test_a_dead_letter_is_replayed_by_a_job_of_one(api: ApiRig, key: str) -> None:
    id = await made(api)
    started = await post(api, f"/v1/dead-letters/{id}/replay", key)
    assert (started.status, started.data["state"], started.data["item_count"]) == (
        202,
        "running",
        1,
    )
    job = started.headers["Location"]
    (item,) = (await api.ask("GET", f"{job}/items", key)).data["data"]
    assert (item["item_id"], item["result"]) == (str(id), None)
    assert (await post(api, f"{job}/cancel", key)).data["state"] == "cancelled"


async def test_a_job_is_looked_at_started_run_and_read_item_by_item(api: ApiRig, key: str) -> None:
    ids = [str(await made(api, group="cc03")) for _ in range(3)]
    body = {"kind": "discard", "dead_letters": {"fingerprint": "cc03"}}
    refused = await post(api, "/v1/jobs", key, body)
    assert (refused.status, refused.data["errors"][0]["pointer"]) == (422, "/note")
    looked_at = await post(api, "/v1/jobs", key, {**body, "note": "test data"})
    assert (looked_at.status, looked_at.data["state"], looked_at.data["item_count"]) == (
        *(201, "preview", 3),
    )
    assert {row["id"] for row in looked_at.data["sample"]} == set(ids)
    late = str(await made(api, group="cc03"))
    job = looked_at.headers["Location"]
    assert (await post(api, f"{job}/pause", key)).status == 409
    assert (await post(api, f"{job}/start", key)).status == 202
    assert (await post(api, f"{job}/start", key)).status == 409
    paused = await post(api, f"{job}/pause", key, json={"note": "lunch"})
    assert (paused.data["state"], paused.data["reason"]) == ("paused", "lunch")
    assert (await post(api, f"{job}/resume", key)).status == 202
    host = asyncio.create_task(JobHost(api.backend).run_for_ever())

    async def finished() -> bool:
        return (await api.ask("GET", job, key)).data["state"] == "finished"

    await eventually(finished)
    await end(host)
    page = await api.ask("GET", f"{job}/items?limit=2&result=discarded", key)
    rest = await api.ask(
        "GET", f"{job}/items?limit=2&result=discarded&cursor={page.data['next_cursor']}", key
    )
    items = [*page.data["data"], *rest.data["data"]]
    assert ({item["item_id"] for item in items}, rest.data["next_cursor"]) == (set(ids), None)
    assert (await api.ask("GET", f"/v1/dead-letters/{late}", key)).data["state"] == "open"
    listed = await api.ask("GET", "/v1/jobs?state=finished", key)
    assert listed.data["data"][0]["id"] == looked_at.data["id"]


async def test_the_results_of_a_job_are_downloaded_as_csv_without_formulas(
    api: ApiRig, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "AT_ONCE", 2)
    ids = [str(await made(api, group="ee05")) for _ in range(5)]
    body = {"kind": "discard", "dead_letters": {"fingerprint": "ee05"}, "note": "x"}
    job = (await post(api, "/v1/jobs", key, body)).headers["Location"]
    await api.execute(
        "UPDATE job_items SET result = 'not_open', detail = '=HYPERLINK(1),\"a\"' WHERE job = $1 AND position = 1",
        UUID(job.rsplit("/", maxsplit=1)[-1]),
    )
    answer = await api.ask("GET", f"{job}/items.csv", key)
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["Content-Disposition"]
    head, *rows = csv.reader(io.StringIO(answer.body.decode(), newline=""))
    assert head == [*results.COLUMNS]
    assert ([row[0] for row in rows], {row[1] for row in rows}) == ([*"12345"], set(ids))
    assert (rows[0][3], rows[0][5]) == ("not_open", '\'=HYPERLINK(1),"a"')
    other = await api.key(tenant="bank")
    assert (await api.ask("GET", f"{job}/items.csv", other)).status == 404


async def test_nothing_of_another_tenant_exists(api: ApiRig, key: str) -> None:
    id = await made(api, group="dd04")
    body = {"kind": "discard", "dead_letters": {"fingerprint": "dd04"}, "note": "x"}
    job = (await post(api, "/v1/jobs", key, body)).headers["Location"]
    await post(api, f"{job}/start", key)
    other = await api.key(tenant="bank")
    dead_letter = f"/v1/dead-letters/{id}"
    requests: list[tuple[str, str, Any]] = [
        *((("GET", path, None)) for path in (job, f"{job}/items", dead_letter)),
        *(("POST", f"{job}/{verb}", None) for verb in ("start", "pause", "resume", "cancel")),
        ("POST", f"{dead_letter}/replay", None),
        ("POST", f"{dead_letter}/discard", {"note": "x"}),
        ("PUT", f"{dead_letter}/note", {"note": "x"}),
        ("PATCH", dead_letter, {"set": {"subject": "x"}}),
    ]
    for method, path, sent in requests:
        how = {} if sent is None else {"json": sent}
        answer = await api.ask(method, path, other, **how)
        assert (method, path, answer.status) == (method, path, 404)
    for path in ("/v1/dead-letters", "/v1/dead-letters/groups", "/v1/jobs"):
        assert (await api.ask("GET", path, other)).data["data"] == []
        assert (await api.ask("GET", f"{path}?tenant=shop", other)).status == 403
    foreign = {"kind": "discard", "ids": [str(id)], "note": "x"}
    looked_at = await post(api, "/v1/jobs", other, foreign)
    assert looked_at.status == 404 or looked_at.data["item_count"] == 0
    assert (await api.ask("GET", dead_letter, key)).data["state"] == "open"
    await post(api, f"{job}/cancel", key)


async def test_a_replay_starts_at_another_pace_than_it_was_looked_at(api: ApiRig, key: str) -> None:
    id = await made(api, group="pa01")
    body = {"kind": "replay", "ids": [str(id)], "plan": {"force": True, "rate_per_second": 5}}
    job = (await post(api, "/v1/jobs", key, body)).headers["Location"]
    plan = {"canary": [1, 10], "watch_seconds": 5}
    started = await post(api, f"{job}/start", key, {"starts_in_seconds": 60, "plan": plan})
    (row,) = await api.fetch("SELECT * FROM jobs WHERE id = $1", UUID(started.data["id"]))
    assert (row["forced"], row["rate"], row["canary"], row["stop_at"], row["watch"]) == (
        *(True, None, [1, 10], 0.2, 5.0),
    )
    forced = {"starts_in_seconds": 60, "plan": {"force": True}}
    assert (await post(api, f"{job}/start", key, forced)).status == 422
    await post(api, f"{job}/cancel", key)


async def test_an_edit_of_many_shows_what_changes_and_gives_nobody_away_unless_revealed(
    api: ApiRig, key: str
) -> None:
    id = await made(api, group="ed17")
    change = {"set": {"recipient": "grace@example.com"}, "unset": ["expires_at"], "replay": True}
    body = {"kind": "edit", "dead_letters": {"fingerprint": "ed17"}, "edit": change, "note": "x"}
    assert (await post(api, "/v1/jobs", key, body)).status == 403
    editor = await api.key("read", "operate", "reveal", tenant="shop")
    made_job = await post(api, "/v1/jobs", editor, body)
    job = made_job.data
    assert (made_job.status, job["item_count"], job["then_replay"]) == (201, 1, True)
    assert job["edit"] == {"set": {"recipient": "g…@example.com"}, "unset": ["expires_at"]}
    assert job["sample_edits"][0]["dead_letter_id"] == str(id)
    assert '+  "recipient": "g…@example.com"' in job["sample_edits"][0]["changes"]
    assert b"grace@" not in made_job.body
    path = f"/v1/jobs/{job['id']}/preview"
    assert (await api.ask("GET", f"{path}?reveal=true", key)).status == 403
    auditor = await api.key("read", "reveal", tenant="shop")
    revealed = await api.ask("GET", f"{path}?reveal=true", auditor)
    assert '+  "recipient": "grace@example.com"' in revealed.data["sample_edits"][0]["changes"]
    noted = await api.fetch(
        "SELECT actor FROM operator_actions WHERE details ->> 'job' = $1", job["id"]
    )
    assert len(noted) == 1
    await post(api, f"/v1/jobs/{job['id']}/cancel", key)
    after = await api.ask("GET", path, key)
    assert after.data["sample_edits"] == []


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"kind": "replay"}, "/dead_letters"),
        ({"kind": "cancel", "note": "x"}, "/notifications"),
        ({"kind": "cancel", "all": True}, "/note"),
        (
            {"kind": "replay", "all": True, "plan": {"max_failure_rate": 2}},
            "/plan/max_failure_rate",
        ),
        ({"kind": "resend", "all": True}, "/kind"),
        ({"kind": "mark_failed", "all": True}, "/note"),
        ({"kind": "retry", "note": "x"}, "/outbox"),
        ({"kind": "retry", "note": "x", "outbox": {"status": ["success"]}}, "/outbox"),
        ({"kind": "edit", "all": True, "note": "x"}, "/edit"),
        ({"kind": "edit", "all": True, "edit": {"set": {"locale": "de"}}}, "/note"),
        ({"kind": "edit", "all": True, "note": "x", "edit": {}}, "/edit"),
        (
            {"kind": "edit", "all": True, "note": "x", "edit": {"set": {"priority": "huge"}}},
            "/edit",
        ),
        ({"kind": "replay", "all": True, "edit": {"unset": ["expires_at"]}}, "/edit"),
    ],
)
async def test_a_job_without_a_clear_choice_is_refused_by_field(
    api: ApiRig, key: str, body: Any, pointer: str
) -> None:
    refused = await post(api, "/v1/jobs", key, body)
    assert (refused.status, refused.data["errors"][0]["pointer"]) == (422, pointer)
