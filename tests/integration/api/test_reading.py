"""Lists, exports, decisions and statistics over HTTP, for the keys of one tenant or of all."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from tests.support.api_rig import ApiRig
from tests.support.attempts import attempt_of
from tests.support.ledger_rig import BOUNCE, RETRY, LedgerRig, record_of, request_of
from tests.support.worker_rig import eventually

from tidings.delivery.errors import LedgerRefused
from tidings.delivery.outcome import Sent
from tidings.delivery.states import State
from tidings.ledger.notifications.filters import Filters
from tidings.operations import channels, exports, statistics
from tidings.operations.actor import Actor
from tidings.operations.backend import DepthsAsOf
from tidings.operations.channels import OrderRequest
from tidings.operations.statistics import Depth
from tidings.settings import Settings

pytestmark = pytest.mark.asyncio(loop_scope="module")

SENT = Sent("smtp:relay", "4711", "250")


@pytest_asyncio.fixture(loop_scope="module")
async def rig(api: ApiRig) -> AsyncIterator[LedgerRig]:
    """The ledger behind the API."""
    yield LedgerRig(api.backend.ledger.database)


def a_tenant() -> str:
    return f"t{uuid4().hex[:8]}"


async def stored(rig: LedgerRig, tenant: str, **fields: Any) -> UUID:
    attempt = attempt_of(tenant=tenant, **fields)
    await rig.put(attempt, State.SENT)
    return attempt.id


async def test_a_list_is_paged_by_cursor_and_masked(api: ApiRig, rig: LedgerRig) -> None:
    tenant = a_tenant()
    ids = {str(await stored(rig, tenant, user_id=f"u{n % 2}")) for n in range(5)}
    key, path, seen = await api.key("read", tenant=tenant), "/v1/notifications?limit=2", []
    cursor: str | None = ""
    while cursor is not None:
        answer = await api.ask("GET", f"{path}&cursor={cursor}" if cursor else path, key)
        assert answer.status == 200
        seen += [entry["id"] for entry in answer.data["data"]]
        cursor = answer.data["next_cursor"]
        assert b"ada@example.com" not in answer.body
    assert (len(seen), set(seen)) == (5, ids)


async def test_a_filter_has_several_values_and_filters_combine(api: ApiRig, rig: LedgerRig) -> None:
    tenant = a_tenant()
    for user in ("ada", "bob", "cy"):
        await stored(rig, tenant, user_id=user, category=f"for-{user}")
    key = await api.key("read", tenant=tenant)

    async def users(query: str) -> list[str]:
        answer = await api.ask("GET", f"/v1/notifications?{query}", key)
        assert answer.status == 200, answer.body
        return sorted(entry["user_id"] for entry in answer.data["data"])

    assert await users("user_id=ada&user_id=cy") == ["ada", "cy"]
    assert await users("user_id=ada&user_id=cy&category=for-cy") == ["cy"]
    assert await users("state=sent&channel=email&priority=normal") == ["ada", "bob", "cy"]
    assert await users("state=failed") == []
    assert await users("until=2001-01-01T00:00:00Z") == []


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("state=gone", "state"),
        ("since=yesterday", "since"),
        ("since=0.5", "since"),
        ("until=0001-01-01T00:00:00%2B14:00", "until"),
        ("subject=%00", "subject"),
        ("template=a&template=%00", "template"),
        ("cursor=x", "cursor"),
        ("entity=:7", "entity"),
        ("colour=red", "colour"),
    ],
)
async def test_a_wrong_parameter_is_named(api: ApiRig, query: str, parameter: str) -> None:
    answer = await api.ask("GET", f"/v1/notifications?{query}", await api.key("read"))
    assert answer.status == 422
    assert parameter in json.dumps(answer.data)


async def test_a_search_in_subjects_needs_the_scope_that_reveals_them(
    api: ApiRig, rig: LedgerRig
) -> None:
    tenant = f"t{uuid4().hex[:8]}"
    await rig.put(attempt_of(tenant=tenant, subject="Your code is 4711"), State.SENT)
    reader = await api.key("read", tenant=tenant)
    for path in ("/v1/notifications", "/v1/notifications/export"):
        refused = await api.ask("GET", f"{path}?subject=code+is+4", reader)
        assert (refused.status, "`reveal`" in refused.data["detail"]) == (403, True)
    auditor = await api.key("read", "reveal", tenant=tenant)
    found = await api.ask("GET", "/v1/notifications?subject=code+is+4", auditor)
    assert len(found.data["data"]) == 1


@pytest.mark.parametrize("format_", exports.Format)
async def test_an_export_that_can_not_begin_is_refused_and_not_cut(
    api: ApiRig, format_: exports.Format
) -> None:
    unstorable = exports.ExportRequest(Filters(templates=("\0",)), format_)
    with pytest.raises(LedgerRefused):
        await exports.export(api.backend, unstorable)
    assert api.backend.exporting == 0


@pytest.mark.parametrize("period", ["since=1970-01-01T00:00:00Z", "until=0001-01-01T00:00:00Z"])
async def test_statistics_of_more_days_than_a_reply_can_have_are_refused(
    api: ApiRig, period: str
) -> None:
    answer = await api.ask("GET", f"/v1/stats?{period}", await api.key("read"))
    assert answer.status == 422
    [error] = answer.data["errors"]
    assert (error["parameter"], error["detail"]) == (
        "since",
        "since: it is more than 3,660 days ago",
    )


async def test_another_tenants_cursor_and_notifications_are_out_of_reach(
    api: ApiRig, rig: LedgerRig
) -> None:
    tenant = a_tenant()
    ids = [await stored(rig, tenant) for _ in range(2)]
    page = await api.ask("GET", "/v1/notifications?limit=1", await api.key("read", tenant=tenant))
    other = await api.key(tenant=a_tenant())
    cursor = page.data["next_cursor"]
    assert (await api.ask("GET", f"/v1/notifications?limit=1&cursor={cursor}", other)).status == 422
    assert (await api.ask("GET", "/v1/notifications", other)).data["data"] == []
    assert (await api.ask("GET", "/v1/notifications/export", other)).body == b""
    assert (await api.ask("GET", f"/v1/notifications?tenant={tenant}", other)).status == 403
    assert (await api.ask("GET", f"/v1/stats?tenant={tenant}", other)).status == 403
    assert (await api.ask("GET", f"/v1/notifications/{ids[0]}/why", other)).status == 404


async def test_a_page_that_has_not_changed_is_not_sent_again(api: ApiRig, rig: LedgerRig) -> None:
    tenant = a_tenant()
    await stored(rig, tenant)
    key = await api.key("read", tenant=tenant)
    first = await api.ask("GET", "/v1/notifications", key)
    tag = {"If-None-Match": first.headers["ETag"]}
    assert (await api.ask("GET", "/v1/notifications", key, headers=tag)).status == 304
    await stored(rig, tenant)
    assert (await api.ask("GET", "/v1/notifications", key, headers=tag)).status == 200


async def test_an_export_has_all_that_match_piece_by_piece(
    api: ApiRig, rig: LedgerRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "AT_ONCE", 2)
    tenant = a_tenant()
    ids = {str(await stored(rig, tenant)) for _ in range(5)}
    key = await api.key("read", tenant=tenant)
    lines = (await api.ask("GET", "/v1/notifications/export", key)).body.splitlines()
    assert {json.loads(line)["id"] for line in lines} == ids
    assert len(lines) == 5
    answer = await api.ask("GET", "/v1/notifications/export?format=csv", key)
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.body.decode())))
    assert {row["id"] for row in rows} == ids
    assert len(rows) == 5


async def test_a_process_writes_only_so_many_exports_at_the_same_time(
    api: ApiRig, rig: LedgerRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = a_tenant()
    await stored(rig, tenant)
    request = exports.ExportRequest(Filters(tenant=tenant))
    under_way = []
    for _ in range(exports.MOST):
        under_way.append(await exports.export(api.backend, request))
    with pytest.raises(exports.ExportsBusy):
        await exports.export(api.backend, request)
    for parts in under_way:
        assert len([part async for part in parts]) == 1
    assert [part async for part in await exports.export(api.backend, request)]
    monkeypatch.setattr(exports, "MOST", 0)
    answer = await api.ask("GET", "/v1/notifications/export", await api.key("read", tenant=tenant))
    assert (answer.status, answer.headers["Retry-After"]) == (503, "2")


async def test_exports_that_arrive_together_are_bounded_and_one_that_nobody_reads_makes_room(
    api: ApiRig, rig: LedgerRig
) -> None:
    tenant = a_tenant()
    await stored(rig, tenant)
    request = exports.ExportRequest(Filters(tenant=tenant))
    arrived = await asyncio.gather(
        *(exports.export(api.backend, request) for _ in range(4 * exports.MOST)),
        return_exceptions=True,
    )
    refused = [answer for answer in arrived if isinstance(answer, exports.ExportsBusy)]
    assert len(arrived) - len(refused) == api.backend.exporting == exports.MOST
    del arrived
    await eventually(lambda: api.backend.exporting == 0)
    key = await api.key("read", tenant=tenant)
    answers = await asyncio.gather(
        *(api.ask("GET", "/v1/notifications/export", key) for _ in range(8))
    )
    assert {answer.status for answer in answers} <= {200, 503}
    assert all(answer.body.count(b"\n") == 1 for answer in answers if answer.status == 200)
    assert api.backend.exporting == 0


async def test_a_cell_of_an_export_is_no_formula(api: ApiRig, rig: LedgerRig) -> None:
    tenant = a_tenant()
    evil = "=HYPERLINK(1)"
    await stored(rig, tenant, user_id=evil)
    key = await api.key("read", tenant=tenant)
    answer = await api.ask("GET", "/v1/notifications/export?format=csv", key)
    [row] = csv.DictReader(io.StringIO(answer.body.decode()))
    assert row["user_id"] == f"'{evil}"
    json_line = (await api.ask("GET", "/v1/notifications/export", key)).body
    assert json.loads(json_line)["user_id"] == evil


async def test_why_tells_the_decision_and_its_rule(api: ApiRig, rig: LedgerRig) -> None:
    tenant = a_tenant()
    key = await api.key("read", tenant=tenant)
    attempts = [attempt_of(tenant=tenant) for _ in range(3)]
    await rig.claim(*(request_of(attempt, "t") for attempt in attempts))
    outcomes = (SENT, BOUNCE, RETRY)
    records = zip(attempts, outcomes, strict=True)
    await rig.records.record([record_of(attempt, "t", outcome) for attempt, outcome in records])
    due = datetime.now(UTC) + timedelta(hours=1)
    scheduled = attempt_of(tenant=tenant, scheduled_at=due.isoformat())
    twice = {"tenant": tenant, "idempotency_key": f"k{tenant}"}
    first, second = attempt_of(**twice), attempt_of(**twice)
    for attempt in (scheduled, first, second):
        await rig.claim(request_of(attempt, "t"))
    expected = (
        (attempts[0], "send", "accepted"),
        (attempts[1], "skip", "rejected"),
        (attempts[2], "defer", "retry_policy"),
        (scheduled, "defer", "schedule"),
        (first, "send", "claim"),
        (second, "skip", "idempotency_key"),
    )
    for attempt, decision, rule in expected:
        answer = await api.ask("GET", f"/v1/notifications/{attempt.id}/why", key)
        assert (answer.data["decision"], answer.data["rule"]) == (decision, rule), answer.data
        if attempt is second:
            assert answer.data["duplicate_of"] == str(first.id)
        if rule in {"schedule", "retry_policy"}:
            assert answer.data["due_at"] is not None


async def test_explain_asks_the_same_in_advance_and_stores_nothing(
    api: ApiRig, rig: LedgerRig
) -> None:
    tenant = a_tenant()
    key = await api.key("read", tenant=tenant)
    mail = {"channel": "email", "recipient": "ada@example.com", "subject": "Hi", "body": "there"}

    async def explained(**fields: object) -> Any:
        answer = await api.ask("POST", "/v1/explain", key, json={**mail, **fields})
        assert answer.status == 200, answer.body
        return answer.data

    plain = await explained()
    assert (plain["queue"], plain["tenant"]) == ("tidings.email.normal", tenant)
    assert plain["guarantee"] == "at_least_once"
    assert plain["retry_delays_seconds"]
    assert (await explained(max_retries=1))["retry_delays_seconds"] == plain[
        "retry_delays_seconds"
    ][:1]
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    scheduled = await explained(scheduled_at=later)
    assert (scheduled["decision"], scheduled["rule"]) == ("defer", "schedule")
    first = attempt_of(tenant=tenant, idempotency_key=f"k{tenant}", recipient="ada@example.com")
    await rig.claim(request_of(first, "t"))
    repeated = await explained(idempotency_key=f"k{tenant}")
    assert (repeated["decision"], repeated["rule"]) == ("skip", "idempotency_key")
    assert repeated["duplicate_of"] == str(first.id)
    known = await explained(id=str(first.id))
    assert (known["decision"], known["rule"]) == ("skip", "id")
    wrong = await api.ask("POST", "/v1/explain", key, json={**mail, "recipient": "nobody"})
    assert (wrong.status, wrong.data["errors"][0]["pointer"]) == (422, "/recipient")
    listed = await api.ask("GET", "/v1/notifications", key)
    assert len(listed.data["data"]) == 1


async def test_statistics_are_those_of_the_keys_tenant(api: ApiRig, rig: LedgerRig) -> None:
    tenant = a_tenant()
    attempts = [attempt_of(tenant=tenant) for _ in range(3)]
    await rig.claim(*(request_of(attempt, "t") for attempt in attempts))
    outcomes = (SENT, SENT, BOUNCE)
    records = zip(attempts, outcomes, strict=True)
    await rig.records.record([record_of(attempt, "t", outcome) for attempt, outcome in records])
    since = (datetime.now(UTC) - timedelta(minutes=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    key = await api.key("read", tenant=tenant)
    answer = await api.ask("GET", f"/v1/stats?since={since}", key)
    assert answer.data["total"]["outcomes"] == {"sent": 2, "rejected": 1}
    assert answer.data["bucket_seconds"] == 60
    assert sum(bucket["finished"] for bucket in answer.data["buckets"]) == 3
    assert answer.data["queues"] is None
    everything = await api.ask("GET", f"/v1/stats?tenant={tenant}", await api.key("read"))
    assert everything.data["total"]["succeeded"] == 2
    assert "RabbitMQ" in everything.data["server_errors"][0]
    backwards = await api.ask("GET", "/v1/stats?since=2099-01-01T00:00:00Z", key)
    assert backwards.status == 422


async def test_the_audit_trail_tells_who_did_what_to_an_admin_of_all_tenants(
    api: ApiRig,
) -> None:
    name = f"n{uuid4().hex[:8]}"
    actor = Actor("cli", name)
    for channel in ("email", "sms"):
        await channels.pause(api.backend, actor, OrderRequest(channel, note="new relay"))
        await channels.resume(api.backend, actor, OrderRequest(channel))
    key, seen = await api.key("admin"), []
    cursor: str | None = ""
    while cursor is not None:
        more = f"&cursor={cursor}" if cursor else ""
        answer = await api.ask("GET", f"/v1/audit?actor={name}&limit=3{more}", key)
        seen += [(it["action"], it["details"]["channel"]) for it in answer.data["data"]]
        cursor = answer.data["next_cursor"]
    assert seen == [
        ("channel resume", "sms"),
        ("channel pause", "sms"),
        ("channel resume", "email"),
        ("channel pause", "email"),
    ]
    paused = await api.ask("GET", f"/v1/audit?actor={name}&action=channel+pause", key)
    assert [it["note"] for it in paused.data["data"]] == ["new relay"] * 2
    assert (await api.ask("GET", "/v1/audit", await api.key("admin", tenant="shop"))).status == 403


async def test_all_who_want_statistics_share_one_look_at_the_queues(
    api: ApiRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0

    async def counted(_: Settings, pause: float) -> DepthsAsOf:
        nonlocal looks
        looks += 1
        return DepthsAsOf((Depth("tidings.email.normal", "email", 7, 1),), datetime.now(UTC))

    monkeypatch.setattr(statistics, "_depths", counted)
    key = await api.key("read")
    answers = await asyncio.gather(*(api.ask("GET", "/v1/stats", key) for _ in range(8)))
    assert [answer.data["queues"][0]["message_count"] for answer in answers] == [7] * 8
    assert looks == 1
