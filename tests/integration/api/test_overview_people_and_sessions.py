"""Is anything wrong, what did a person get, and who is signed in: the same over HTTP as in the console."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from tests.support.api_rig import ApiRig
from tests.support.attempts import attempt_of
from tests.support.ledger_rig import BOUNCE, LedgerRig, record_of, request_of
from tests.support.stored_dead_letters import store_dead_letter

from tidings.delivery.outcome import Outcome, Sent
from tidings.operations import sessions
from tidings.operations.actor import Actor
from tidings.operations.sessions import OpenSessionRequest

pytestmark = pytest.mark.asyncio(loop_scope="module")
SENT = Sent("smtp:relay", "4711", "250")
JANE = Actor("console", "jane")


async def ended(api: ApiRig, outcome: Outcome, **fields: object) -> UUID:
    rig = LedgerRig(api.backend.ledger.database)
    attempt = attempt_of(first_seen=datetime.now(UTC) - timedelta(days=1), **fields)
    await rig.claim(request_of(attempt, "t"))
    await rig.records.record([record_of(attempt, "t", outcome)])
    return attempt.id


async def test_what_a_person_got_is_told_masked_to_their_tenant_and_audited(api: ApiRig) -> None:
    tenant, address = f"t{uuid4().hex[:8]}", f"{uuid4().hex[:8]}@example.com"
    sent = await ended(api, SENT, recipient=address, tenant=tenant, category="receipt", user_id="u")
    await ended(api, BOUNCE, recipient="u@example.com", tenant=tenant, category="otp", user_id="u")
    await ended(api, SENT, recipient="bob@example.com", tenant=tenant)
    key = await api.key("read", tenant=tenant, name=f"sue-{tenant}")
    found = await api.ask("POST", "/v1/people/search", key, json={"person": address.upper()})
    assert found.status == 200, found.body
    assert [each["category"] for each in found.data["notifications"]] == ["otp", "receipt"]
    assert found.data["notifications"][1]["id"] == str(sent)
    assert [each["arrived"] for each in found.data["notifications"]] == [False, True]
    assert "Receipt by email: sent on" in found.data["notifications"][1]["sentence"]
    assert found.data["users"] == [{"tenant": tenant, "user_id": "u"}]
    assert address.encode() not in found.body
    other = await api.key("read", tenant="bank")
    for who, query, status in ((other, "", 200), (other, f"?tenant={tenant}", 403)):
        path = f"/v1/people/search{query}"
        nothing = await api.ask("POST", path, who, json={"person": address})
        assert nothing.status == status
        assert not nothing.data.get("notifications")
    assert (await api.ask("POST", "/v1/people/search", key, json={"person": " "})).status == 422
    trail = await api.fetch(
        "SELECT action, details::text FROM operator_actions WHERE actor LIKE $1",
        f"%sue-{tenant}%",
    )
    assert [row["action"] for row in trail] == ["looked up a person"]
    assert address not in str(trail)


async def test_a_session_is_listed_and_ended_by_an_admin_of_its_tenant_only(api: ApiRig) -> None:
    wanted = OpenSessionRequest("jane", "shop", ["read"])
    token = await sessions.open_(api.backend, JANE, wanted)
    session = await sessions.find(api.backend, token)
    assert session is not None
    path, query = f"/v1/sessions/{session.id}", "?note=lost+laptop"
    for tenant, test in (("bank", False), ("shop", True)):
        other = await api.key("admin", tenant=tenant, test=test)
        listed = await api.ask("GET", "/v1/sessions", other)
        assert str(session.id).encode() not in listed.body
        assert (await api.ask("DELETE", path, other)).status == 404
    reader = await api.key("read", "operate", tenant="shop")
    assert (await api.ask("GET", "/v1/sessions", reader)).status == 403
    assert (await api.ask("DELETE", path, reader)).status == 403
    admin = await api.key("admin", tenant="shop")
    listed = await api.ask("GET", "/v1/sessions", admin)
    (mine,) = [each for each in listed.data["data"] if each["id"] == str(session.id)]
    assert (mine["name"], mine["scopes"], mine["api_key"]) == ("jane", ["read"], None)
    assert token.encode() not in listed.body
    assert (await api.ask("DELETE", path + query, admin)).status == 204
    assert await sessions.find(api.backend, token) is None
    assert (await api.ask("DELETE", path, admin)).status == 404
    notes = await api.fetch(
        "SELECT note FROM operator_actions WHERE details ->> 'session' = $1 AND note <> ''",
        str(session.id),
    )
    assert [row["note"] for row in notes] == ["lost laptop"]


async def test_the_overview_says_what_is_wrong_for_all_or_for_one_tenant(api: ApiRig) -> None:
    tenant = f"t{uuid4().hex[:8]}"
    await store_dead_letter(
        api, "f00d", tenant, message='recipient: "ada@example.com" is no mailbox'
    )
    whole = await api.ask("GET", "/v1/overview", await api.key("read"))
    assert whole.status == 200, whole.body
    levels = [each["level"] for each in whole.data["concerns"]]
    assert levels == sorted(levels)  # faults first
    assert any(each["subject"] == "server" for each in whole.data["concerns"])  # no RabbitMQ here
    assert whole.data["statistics"]["queues"] is None
    assert whole.data["scheduler"]["running_count"] == 0
    assert any(each["subject"] == "scheduler" for each in whole.data["concerns"])
    own = await api.ask("GET", "/v1/overview?since=24h", await api.key("read", tenant=tenant))
    assert own.data["scheduler"] is None
    assert [group["count"] for group in own.data["groups"]] == [1]
    (problem,) = own.data["concerns"]
    assert (problem["level"], problem["subject"], problem["name"]) == (
        *("warning", "dead_letter", "f00d"),
    )
    assert b"ada@example.com" not in whole.body + own.body
    assert own.data["statistics"]["since"] < whole.data["statistics"]["since"]
