"""Rescheduling, cancelling, schedules and dispatching over HTTP."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from tests.support.api_rig import ApiRig
from tests.support.attempts import attempt_of
from tests.support.ledger_rig import LedgerRig, request_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def scheduled(api: ApiRig) -> str:
    """A notification of the tenant `shop` that is due in an hour."""
    due = datetime.now(UTC) + timedelta(hours=1)
    attempt = attempt_of(tenant="shop", scheduled_at=due.isoformat())
    await LedgerRig(api.backend.ledger.database).claim(request_of(attempt))
    return f"/v1/notifications/{attempt.id}"


def body(**fields: Any) -> dict[str, Any]:
    return {
        "name": f"report-{uuid4().hex[:8]}",
        "cron": "30 9 * * MON-FRI",
        "timezone": "Europe/Berlin",
        "content": {"channel": "email", "subject": "Report", "body": "All is well."},
        "recipients": ["ada@example.com", {"recipient": "bob@example.com", "user_id": "u7"}],
        **fields,
    }


async def test_a_notification_is_rescheduled_by_local_time(api: ApiRig) -> None:
    key, path = await api.key("send", "read", tenant="shop"), await scheduled(api)
    day = f"{datetime.now(UTC) + timedelta(days=3):%Y-%m-%d}"
    new = {"scheduled_at": f"{day}T09:00", "timezone": "Asia/Kolkata", "note": "moved"}
    answer = await api.ask("PATCH", path, key, json=new)
    assert answer.status == 200, answer.body
    assert answer.data["scheduled_at"] == f"{day}T09:00:00+05:30"
    shown = (await api.ask("GET", path, key)).data
    assert datetime.fromisoformat(shown["dispatch_at"]).isoformat().startswith(f"{day}T03:30")
    assert shown["history"][-1]["actor"].startswith("api-key ")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"scheduled_at": "2020-01-01T00:00Z"}, "/scheduled_at"),
        ({"scheduled_at": "2999-01-01T00:00Z"}, "/scheduled_at"),
        ({"scheduled_at": "soon"}, "/scheduled_at"),
        ({"scheduled_at": "2027-01-01T00:00"}, "/scheduled_at"),
        ({"scheduled_at": "2027-01-01T00:00", "timezone": "Berlin"}, "/timezone"),
        ({"timezone": "UTC"}, "/scheduled_at"),
        ({"scheduled_at": "2027-01-01T00:00Z", "at": "x"}, "/at"),
    ],
)
async def test_a_time_that_can_t_be_is_refused_by_field(
    api: ApiRig, change: dict[str, Any], pointer: str
) -> None:
    key, path = await api.key("send", tenant="shop"), await scheduled(api)
    answer = await api.ask("PATCH", path, key, json=change)
    assert answer.status == 422
    assert [error["pointer"] for error in answer.data["errors"]] == [pointer]


async def test_of_two_who_have_read_the_same_one_is_told_that_it_has_changed(api: ApiRig) -> None:
    key, path = await api.key("send", "read", tenant="shop"), await scheduled(api)
    etag = (await api.ask("GET", path, key)).headers["ETag"]
    times = [(datetime.now(UTC) + timedelta(days=days)).isoformat() for days in (2, 3)]
    answers = await asyncio.gather(
        *(
            api.ask("PATCH", path, key, headers={"If-Match": etag}, json={"scheduled_at": time})
            for time in times
        )
    )
    assert sorted(answer.status for answer in answers) == [200, 412]


async def test_what_is_cancelled_can_t_be_cancelled_or_rescheduled_again(api: ApiRig) -> None:
    key, path = await api.key("send", "read", tenant="shop"), await scheduled(api)
    cancelled = await api.ask("DELETE", f"{path}?note=wrong+customer", key)
    assert cancelled.status == 200
    later = {"scheduled_at": (datetime.now(UTC) + timedelta(days=2)).isoformat()}
    for answer in (
        await api.ask("DELETE", path, key),
        await api.ask("PATCH", path, key, json=later),
    ):
        assert answer.status == 409
        assert "cancelled" in answer.data["detail"]
    assert (await api.ask("GET", path, key)).data["history"][-1]["reason"] == "wrong customer"


async def test_it_does_not_exist_for_another_tenant(api: ApiRig) -> None:
    other, path = await api.key(tenant="bank"), await scheduled(api)
    later = {"scheduled_at": (datetime.now(UTC) + timedelta(days=2)).isoformat()}
    assert (await api.ask("PATCH", path, other, json=later)).status == 404
    assert (await api.ask("DELETE", path, other)).status == 404
    assert (await api.ask("GET", path, await api.key(tenant="shop"))).data["state"] == "scheduled"


async def test_a_schedule_is_made_shown_paused_resumed_run_and_deleted(api: ApiRig) -> None:
    key = await api.key("send", "read", tenant="shop")
    made = await api.ask("POST", "/v1/schedules", key, json=body())
    assert made.status == 201, made.body
    path = made.headers["Location"]
    assert (made.data["tenant"], len(made.data["next_times"])) == ("shop", 5)
    assert b"ada@example.com" not in made.body
    shown = await api.ask("GET", path, key)
    assert shown.data["name"] == made.data["name"]
    assert made.data["id"] in {
        row["id"] for row in (await api.ask("GET", "/v1/schedules", key)).data["data"]
    }
    assert (await api.ask("POST", f"{path}/pause", key)).data["state"] == "paused"
    assert (await api.ask("POST", f"{path}/pause", key)).status == 409
    assert (await api.ask("POST", f"{path}/resume", key)).data["state"] == "active"
    once = {"Idempotency-Key": '"run-1"'}
    first, again, other = [
        await api.ask("POST", f"{path}/run", key, headers=once, json=given)
        for given in ({}, {}, {"recipients": ["cleo@example.com"]})
    ]
    assert (first.status, again.status) == (202, 202)
    assert first.data["notification_ids"] == again.data["notification_ids"]
    assert len(first.data["notification_ids"]) == 2
    assert other.status == 422
    assert other.data["errors"][0]["detail"].startswith("Idempotency-Key")
    for improper in ("", '""', "x" * 256):
        sent = {"Idempotency-Key": improper}
        refused = await api.ask("POST", f"{path}/run", key, headers=sent, json={})
        assert (refused.status, refused.data["errors"][0]["header"]) == (422, "Idempotency-Key")
    notification = await api.ask(
        "GET", f"/v1/notifications/{first.data['notification_ids'][0]}", key
    )
    assert (notification.data["state"], notification.data["tenant"]) == ("queued", "shop")
    assert (await api.ask("DELETE", path, key)).status == 204
    assert (await api.ask("GET", path, key)).status == 404


async def test_a_schedule_does_not_exist_for_another_tenant(api: ApiRig) -> None:
    key, other = await api.key(tenant="shop"), await api.key(tenant="bank")
    made = await api.ask("POST", "/v1/schedules", key, json=body())
    path, name = made.headers["Location"], made.data["name"]
    for method, there in (
        ("GET", path),
        ("GET", f"/v1/schedules/{name}"),
        ("POST", f"{path}/pause"),
        ("POST", f"{path}/resume"),
        ("DELETE", path),
    ):
        assert (await api.ask(method, there, other)).status == 404
    assert (await api.ask("POST", f"{path}/run", other, json={})).status == 404
    assert (await api.ask("GET", "/v1/schedules", other)).data["data"] == []
    foreign = await api.ask("POST", "/v1/schedules", other, json=body(tenant="shop"))
    assert (foreign.status, foreign.data["errors"][0]["pointer"]) == (422, "/tenant")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"cron": "61 * * * *"}, "/cron"),
        ({"timezone": "Berlin"}, "/timezone"),
        ({"name": "Weekly Report"}, "/name"),
        ({"recipients": []}, "/recipients"),
        ({"recipients": ["ada@example.com", "nobody"]}, "/recipients/1/recipient"),
        ({"content": {"channel": "email", "body": "x"}}, "/content/subject"),
        ({"ends_at": "2020-01-01T00:00Z"}, "/ends_at"),
        ({"misfire": "never"}, "/misfire"),
        ({"max_runs": 0}, "/max_runs"),
    ],
)
async def test_what_is_wrong_with_a_schedule_is_said_by_field(
    api: ApiRig, change: dict[str, Any], pointer: str
) -> None:
    key = await api.key("send", tenant="shop")
    answer = await api.ask("POST", "/v1/schedules", key, json=body(**change))
    assert answer.status == 422, answer.body
    assert pointer in [error.get("pointer") for error in answer.data["errors"]], answer.data


async def test_a_name_is_taken_once_and_a_dry_run_takes_none(api: ApiRig) -> None:
    key, given = await api.key("send", tenant="shop"), body()
    for _ in range(2):
        dry = await api.ask("POST", "/v1/schedules?dry_run=true", key, json=given)
        assert (dry.status, len(dry.data["next_times"])) == (200, 5)
    assert (await api.ask("POST", "/v1/schedules", key, json=given)).status == 201
    assert (await api.ask("POST", "/v1/schedules", key, json=given)).status == 409


async def test_dispatching_is_paused_and_resumed_by_a_key_of_all_tenants(api: ApiRig) -> None:
    key = await api.key("operate", "read")
    paused = await api.ask("POST", "/v1/scheduler/pause", key, json={"note": "INC-812"})
    assert (paused.status, paused.data["paused"]) == (200, True)
    shown = await api.ask("GET", "/v1/scheduler", key)
    assert shown.data["order"]["note"] == "INC-812"
    assert not (await api.ask("POST", "/v1/scheduler/resume", key)).data["paused"]
    of_shop = await api.key("operate", "read", tenant="shop")
    assert (await api.ask("GET", "/v1/scheduler", of_shop)).status == 403
