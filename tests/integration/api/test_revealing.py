"""Who has people and content shown unmasked needs the scope `reveal`, and is in the audit trail, on every route."""

import json
from uuid import UUID, uuid4

import pytest
from tests.support.api_rig import ApiRig
from tests.support.attempts import attempt_of
from tests.support.ledger_rig import LedgerRig

from tidings.api.routes import routes
from tidings.delivery.states import State

pytestmark = pytest.mark.asyncio(loop_scope="module")

PERSON = b"ada@example.com"
REVEALING = {route.path for route in routes() if "reveal" in route.query_model.model_fields}
CONTENT = {"channel": "email", "subject": "Standup", "body": "Now."}
SCHEDULE = {
    "name": "standup",
    "content": CONTENT,
    "recipients": [PERSON.decode()],
}
JOB = {
    "kind": "edit",
    "all": True,
    "edit": {"set": {"recipient": PERSON.decode()}},
    "note": "mistyped",
}
DEAD_LETTER = """
INSERT INTO dead_letters (id, notification_id, reason, kind, code, message, fingerprint, channel, priority, tenant,
                          category, recipient, attempts, first_failed_at, last_failed_at, exchange, routing_key, body)
VALUES ($1, $2, 'rejected', 'rejected', '550', 'no such mailbox', 'abc123', 'email', 'normal', $3, 'receipt', $4, 1,
        now(), now(), 'tidings.notifications', 'email.normal', $5)
"""


async def _stored(api: ApiRig, tenant: str) -> dict[str, UUID]:
    """One of each thing that has people in it, by the address that shows it."""
    attempt, dead_letter = attempt_of(tenant=tenant), uuid4()
    await LedgerRig(api.backend.ledger.database).put(attempt, State.SENT)
    lost = uuid4()
    body = json.dumps({"id": str(lost), "recipient": "adaexample.com", "tenant": tenant, **CONTENT})
    await api.execute(DEAD_LETTER, dead_letter, lost, tenant, PERSON.decode(), body.encode())
    key = await api.key("send", tenant=tenant)
    made = await api.ask("POST", "/v1/schedules", key, json=SCHEDULE)
    operator = await api.key("operate", "reveal", tenant=tenant)
    job = await api.ask("POST", "/v1/jobs", operator, json=JOB)
    return {
        "/v1/notifications/{id}": attempt.id,
        "/v1/dead-letters/{id}": dead_letter,
        "/v1/schedules/{id}": UUID(made.data["id"]),
        "/v1/jobs/{id}/preview": UUID(job.data["id"]),
    }


async def test_every_route_that_reveals_needs_its_scope_and_is_in_the_audit_trail(
    api: ApiRig,
) -> None:
    tenant = f"t{uuid4().hex[:8]}"
    ids = await _stored(api, tenant)
    assert {"/v1/notifications", "/v1/notifications/export", *ids} == REVEALING
    reader = await api.key("read", tenant=tenant)
    auditor = await api.key("read", "reveal", tenant=tenant, name="auditor")
    for path in sorted(REVEALING):
        address = path.replace("{id}", str(ids.get(path, "")))
        assert PERSON not in (await api.ask("GET", address, auditor)).body, path
        assert (await api.ask("GET", f"{address}?reveal=true", reader)).status == 403, path
        sent = {"X-Request-Id": f"{tenant}{path.replace('{id}', 'id')}"}
        answer = await api.ask("GET", f"{address}?reveal=true", auditor, headers=sent)
        assert PERSON in answer.body, path
        noted = await api.fetch(
            "SELECT action, details FROM operator_actions WHERE actor = $1",
            f"api-key auditor {auditor[:16]} (request {sent['X-Request-Id']})",
        )
        assert [row["action"] for row in noted] == ["revealed people and content"], path
        if path in ids:
            assert list(json.loads(noted[0]["details"]).values()) == [str(ids[path])]
    masked = await api.fetch(
        "SELECT FROM operator_actions WHERE actor LIKE $1", f"%{auditor[:16]}%"
    )
    assert len(masked) == len(REVEALING)
