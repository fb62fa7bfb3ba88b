"""The outbox over HTTP; RabbitMQ is not there, so that all that is accepted waits in it."""

import json
from uuid import uuid4

import pytest
from tests.support.api_rig import Answer, ApiRig
from tests.support.submission_rig import mail

pytestmark = pytest.mark.asyncio(loop_scope="module")
JSON = {"Content-Type": "application/json"}


async def post(api: ApiRig, path: str, key: str, body: object = None) -> Answer:
    return await api.ask("POST", path, key, data=json.dumps(body or {}), headers=JSON)


async def waiting(api: ApiRig, key: str, user_id: str) -> str:
    body = mail(user_id=user_id)
    answer = await api.ask("POST", "/v1/notifications", key, data=body, headers=JSON)
    assert answer.status == 202
    return str(answer.data["id"])


async def test_entries_are_listed_by_status_and_user_page_by_page(api: ApiRig) -> None:
    key, user_id = await api.key(tenant="shop"), str(uuid4())
    ids = [await waiting(api, key, user_id) for _ in range(3)]
    path = f"/v1/outbox?status=pending&status=retrying&user_id={user_id}&limit=2"
    first = await api.ask("GET", path, key)
    assert [entry["id"] for entry in first.data["data"]] == ids[:0:-1]
    second = await api.ask("GET", f"{path}&cursor={first.data['next_cursor']}", key)
    assert [entry["id"] for entry in second.data["data"]] == ids[:1]
    assert second.data["next_cursor"] is None
    other = await api.key(tenant="other")
    assert (await api.ask("GET", path, other)).data["data"] == []


async def test_an_entry_is_given_up_and_retried_by_its_own_tenant_alone(api: ApiRig) -> None:
    key, other = await api.key(tenant="shop"), await api.key(tenant="other")
    id_ = await waiting(api, key, "user-1")
    for action in ("retry", "mark-failed", "mark-pending"):
        assert (await post(api, f"/v1/outbox/{id_}/{action}", other)).status == 404
    failed = await post(api, f"/v1/outbox/{id_}/mark-failed", key, {"note": "obsolete"})
    assert (failed.status, failed.data) == (200, {"succeeded_ids": [id_], "failures": []})
    listed = await api.ask("GET", "/v1/outbox?status=failed", key)
    [entry] = listed.data["data"]
    assert (entry["id"], entry["note"]) == (id_, "obsolete")
    assert entry["decided_by"].startswith("api-key ")
    retried = await post(api, "/v1/outbox/retry", key, {"limit": 10})
    assert retried.data == {"succeeded_ids": [id_], "failures": []}
    assert (await post(api, f"/v1/outbox/{id_}/retry", key)).status == 200
    assert (await post(api, f"/v1/outbox/{uuid4()}/retry", key)).status == 404


async def test_a_decision_about_many_is_a_job_of_the_entries_of_its_own_tenant(api: ApiRig) -> None:
    tenant = f"t{uuid4().hex[:8]}"
    key, other = await api.key(tenant=tenant), await api.key(tenant="other")
    ids = [await waiting(api, key, "user-2") for _ in range(2)]
    body = {"kind": "mark_failed", "outbox": {"user_id": "user-2"}, "note": "obsolete"}
    made = await post(api, "/v1/jobs", key, body)
    assert (made.status, made.data["item_count"]) == (201, 2), made.data
    assert [entry["id"] for entry in made.data["sample_outbox_entries"]] == ids
    named = await post(api, "/v1/jobs", key, {**body, "outbox": None, "ids": ids[:1]})
    assert (named.status, named.data["item_count"]) == (201, 1)
    tests = await api.key(tenant=tenant, test=True)
    for stranger in (other, tests):
        for wanted in ({"ids": ids}, {"outbox": {"user_id": "user-2"}}, {"all": True}):
            look = await post(api, "/v1/jobs", stranger, {**body, "outbox": None, **wanted})
            seen = {entry["id"] for entry in look.data["sample_outbox_entries"]}
            assert (look.status, seen & set(ids)) == (201, set())
    assert (await api.ask("GET", f"/v1/jobs/{made.data['id']}", other)).status == 404
