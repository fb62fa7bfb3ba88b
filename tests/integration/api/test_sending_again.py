"""`POST /v1/notifications/{id}/resend`: a new notification with the content of another, and both say so."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from tests.support.api_rig import ApiRig

pytestmark = pytest.mark.asyncio(loop_scope="module")

BODY = {
    "channel": "email",
    "recipient": "ada@example.com",
    "subject": "Hello",
    "body": "How are you?",
    "idempotency_key": "hello-ada",
    "expires_at": (datetime.now(UTC) + timedelta(days=1)).isoformat(),
}


async def sent(api: ApiRig, key: str, state: str = "sent", **fields: Any) -> str:
    """A notification that has ended so."""
    accepted = await api.ask("POST", "/v1/notifications", key, json={**BODY, **fields})
    id: str = accepted.data["id"]
    await api.execute(
        "UPDATE notifications SET state = $2, dispatch_at = NULL WHERE id = $1", UUID(id), state
    )
    return id


async def resend(api: ApiRig, id: str, key: str, **how: Any) -> Any:
    return await api.ask("POST", f"/v1/notifications/{id}/resend", key, **how)


async def stored(api: ApiRig, id: str) -> dict[str, Any]:
    (row,) = await api.fetch("SELECT * FROM notifications WHERE id = $1", UUID(id))
    return dict(row)


async def history(api: ApiRig, id: str) -> set[tuple[str, str]]:
    rows = await api.fetch(
        "SELECT actor, reason FROM transitions WHERE notification_id = $1", UUID(id)
    )
    return {(row["actor"][:12], row["reason"]) for row in rows}


async def test_the_copy_has_the_content_and_a_new_id_and_both_say_whose_it_is(api: ApiRig) -> None:
    key = await api.key("send", "read", tenant="shop", name="jane")
    id = await sent(api, key, idempotency_key="one")
    answer = await resend(api, id, key)
    assert (answer.status, answer.data["copy_of"]) == (202, id)
    copy = answer.data["id"]
    assert copy != id
    body = json.loads((await stored(api, copy))["body"])
    assert {name: body[name] for name in ("recipient", "subject", "body", "tenant")} == {
        **{name: BODY[name] for name in ("recipient", "subject", "body")},
        "tenant": "shop",
    }
    assert not {"idempotency_key", "expires_at", "scheduled_at"} & body.keys()
    row = await stored(api, copy)
    assert (row["state"], row["dispatch_at"] is None) == ("scheduled", False)  # a scheduler's now
    assert ("api-key jane", f"copy of {id}") in await history(api, copy)
    assert ("api-key jane", f"sent again as {copy}") in await history(api, id)


async def test_a_recipient_is_corrected_or_refused_by_field(api: ApiRig) -> None:
    key = await api.key("send", "read", "reveal", tenant="shop")
    id = await sent(api, key, idempotency_key="two")
    wrong = await resend(api, id, key, json={"recipient": "nobody"})
    assert (wrong.status, wrong.data["errors"][0]["pointer"]) == (422, "/recipient")
    answer = await resend(api, id, key, json={"recipient": "grace@example.com"})
    assert (await stored(api, answer.data["id"]))["recipient"] == "grace@example.com"
    assert (await stored(api, id))["recipient"] == "ada@example.com"


async def test_what_is_under_way_is_sent_again_only_by_force(api: ApiRig) -> None:
    key = await api.key("send", "read", tenant="shop")
    id = await sent(api, key, "retrying", idempotency_key="three")
    refused = await resend(api, id, key)
    assert (refused.status, "is retrying" in refused.data["detail"]) == (409, True)
    assert (await resend(api, id, key, json={"force": True})).status == 202


async def test_a_repeat_with_its_idempotency_key_is_the_same_copy(api: ApiRig) -> None:
    key = await api.key("send", "read", "reveal", tenant="shop")
    id = await sent(api, key, idempotency_key="four")
    headers = {"Idempotency-Key": "again-1"}
    first = await resend(api, id, key, headers=headers)
    again = await resend(api, id, key, headers=headers)
    assert (again.status, again.data) == (202, first.data)
    assert again.headers["Idempotent-Replayed"] == "true"
    other = await resend(api, id, key, json={"recipient": "x@example.com"}, headers=headers)
    assert other.status == 422
    notes = [reason for _, reason in await history(api, id) if reason.startswith("sent again")]
    assert notes == [f"sent again as {first.data['id']}"]


async def test_what_is_gone_or_anothers_is_not_sent_again(api: ApiRig) -> None:
    key = await api.key("send", "read", tenant="shop")
    id = await sent(api, key, idempotency_key="five")
    other = await api.key("send", tenant="bank")
    assert (await resend(api, id, other)).status == 404
    assert (await resend(api, id, await api.key("read", tenant="shop"))).status == 403
    await api.execute(
        "UPDATE notifications SET recipient = 'erased', body = '{}' WHERE id = $1", UUID(id)
    )
    erased = await resend(api, id, key)
    assert (erased.status, "was erased" in erased.data["detail"]) == (409, True)


async def test_nobody_reads_a_content_by_sending_it_to_another_address(api: ApiRig) -> None:
    key = await api.key("send", tenant="shop")
    id = await sent(api, key, idempotency_key="six")
    refused = await resend(api, id, key, json={"recipient": "mallory@example.com"})
    assert (refused.status, "scope `reveal`" in refused.data["detail"]) == (403, True)
    assert not [reason for _, reason in await history(api, id) if reason.startswith("sent again")]
