"""Notifications are submitted over HTTP; RabbitMQ is not there, so the outbox takes them."""

import json
from uuid import uuid4

import pytest
from tests.support.api_rig import Answer, ApiRig
from tests.support.submission_rig import mail

from tidings.operations.api_key_format import digest
from tidings.operations.submissions.ids import id_for

pytestmark = pytest.mark.asyncio(loop_scope="module")
JSON = {"Content-Type": "application/json"}


async def post(api: ApiRig, path: str, key: str, body: bytes, **headers: str) -> Answer:
    sent = {**JSON, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return await api.ask("POST", path, key, data=body, headers=sent)


async def submitted(api: ApiRig, key: str, body: bytes | None = None, **headers: str) -> Answer:
    return await post(api, "/v1/notifications", key, body or mail(), **headers)


async def test_what_is_accepted_can_be_read_at_once_by_its_link(api: ApiRig) -> None:
    key = await api.key("send", "read", tenant="shop", name="shop-prod")
    answer = await submitted(api, key)
    assert (answer.status, answer.data["status"]) == (202, "accepted")
    shown = await api.ask("GET", answer.data["links"]["self"], key)
    assert (shown.status, shown.data["state"]) == (200, "queued")
    [row] = await api.fetch(
        "SELECT tenant, producer FROM notifications WHERE id = $1", answer.data["id"]
    )
    assert row["tenant"] == "shop"
    assert row["producer"].startswith("api-key shop-prod tk_live_")
    other = await api.key("read", tenant="other")
    assert (await api.ask("GET", answer.data["links"]["self"], other)).status == 404


@pytest.mark.parametrize("written", ["order-1", '"order-1"'])
async def test_a_repeat_gets_the_first_answer_and_says_so(api: ApiRig, written: str) -> None:
    key = await api.key("send")
    first = await submitted(api, key, Idempotency_Key="order-1")
    again = await submitted(api, key, Idempotency_Key=written)
    assert (first.status, first.data) == (again.status, again.data)
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    reused = await submitted(api, key, mail(subject="Bye"), Idempotency_Key="order-1")
    assert (reused.status, reused.data["errors"][0]["header"]) == (422, "Idempotency-Key")
    another = await submitted(api, await api.key("send"), Idempotency_Key="order-1")
    assert another.data["id"] != first.data["id"]
    assert first.data["id"] == str(id_for(digest(key), "order-1"))  # not from its public prefix


@pytest.mark.parametrize("written", ["", '"', "a b", "ü", "x" * 256, '""'])
async def test_what_is_no_idempotency_key_is_refused(api: ApiRig, written: str) -> None:
    answer = await submitted(api, await api.key("send"), Idempotency_Key=written)
    assert (answer.status, answer.data["errors"][0]["header"]) == (422, "Idempotency-Key")


async def test_a_known_id_is_a_duplicate_and_with_other_content_a_conflict(api: ApiRig) -> None:
    key, id_ = await api.key("send"), str(uuid4())
    statuses = [
        (await submitted(api, key, mail(id=id_, subject=subject))).status
        for subject in ("Hello", "Hello", "Bye")
    ]
    assert statuses == [202, 200, 409]


async def test_every_problem_is_told_with_its_field_and_code(api: ApiRig) -> None:
    key = await api.key("send", tenant="shop")
    answer = await submitted(api, key, mail(recipient="nobody", subject=None, body=5))
    assert answer.status == 422
    errors = {error["pointer"]: error["code"] for error in answer.data["errors"]}
    assert errors["/body"] == "type"
    assert "/recipient" in errors
    foreign = await submitted(api, key, mail(tenant="other"))
    assert foreign.data["errors"][0]["pointer"] == "/tenant"
    nothing = await submitted(api, key, b"{")
    assert (nothing.status, nothing.data["errors"][0]["code"]) == (422, "not_json")


async def test_one_content_goes_to_many_and_a_batch_is_answered_item_by_item(api: ApiRig) -> None:
    key = await api.key("send")
    many = await submitted(
        api, key, mail(recipient=None, recipients=["a@example.com", "b@example.com"])
    )
    assert (many.status, many.data["accepted"]) == (202, 2)
    body = b'{"notifications": [%b, %b]}' % (mail(), mail(recipient="x"))
    batch = await post(api, "/v1/notifications/batch", key, body, Idempotency_Key="b-1")
    assert batch.status == 202
    assert [item["status"] for item in batch.data["notifications"]] == ["accepted", "invalid"]
    again = await post(api, "/v1/notifications/batch", key, body, Idempotency_Key="b-1")
    assert (again.data, again.headers["Idempotent-Replayed"]) == (batch.data, "true")
    atomic = await post(api, "/v1/notifications/batch?atomic=true", key, body)
    assert (atomic.status, atomic.data["errors"][0]["pointer"]) == (
        422,
        "/notifications/1/recipient",
    )


async def test_validating_finds_the_same_problems_and_stores_nothing(api: ApiRig) -> None:
    key, id_ = await api.key("send"), str(uuid4())
    valid = await post(api, "/v1/notifications/validate", key, mail(id=id_))
    assert (valid.status, valid.data) == (200, {"valid": True, "notification_count": 1})
    assert await api.fetch("SELECT FROM notifications WHERE id = $1", id_) == []
    invalid = await post(api, "/v1/notifications/validate", key, mail(recipient="x"))
    sent = await submitted(api, key, mail(recipient="x"))
    assert invalid.data["errors"] == sent.data["errors"]


async def test_a_template_is_rendered_or_its_fault_told(api: ApiRig) -> None:
    key = await api.key("send")
    path = "/v1/templates/nothing/render"
    unknown = await post(api, path, key, json.dumps({"channel": "sms"}).encode())
    assert unknown.status == 404
    pigeon = await post(api, path, key, json.dumps({"channel": "pigeon"}).encode())
    assert (pigeon.status, pigeon.data["errors"][0]["pointer"]) == (422, "/channel")
