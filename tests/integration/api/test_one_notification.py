"""`GET /v1/notifications/{id}`: one notification, for its tenant's keys."""

from uuid import UUID

import pytest
import pytest_asyncio
from tests.support.api_rig import ApiRig
from tests.support.attempts import attempt_of
from tests.support.ledger_rig import LedgerRig

from tidings.delivery.states import State

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def id_(api: ApiRig) -> UUID:
    """A notification of the tenant `shop` that failed."""
    attempt = attempt_of(tenant="shop", recipient="jane@example.com", user_id="u1")
    await LedgerRig(api.backend.ledger.database).put(attempt, State.FAILED)
    return attempt.id


async def test_it_is_shown_with_people_masked(api: ApiRig, id_: UUID) -> None:
    answer = await api.ask("GET", f"/v1/notifications/{id_}", await api.key("read", tenant="shop"))
    assert answer.status == 200
    assert (answer.data["id"], answer.data["state"]) == (str(id_), "failed")
    assert answer.data["recipient"] == "j…@example.com"
    assert "body" not in answer.data
    assert b"jane@example.com" not in answer.body


async def test_people_and_content_are_revealed_to_an_admin_alone(api: ApiRig, id_: UUID) -> None:
    path = f"/v1/notifications/{id_}?reveal=true"
    refused = await api.ask("GET", path, await api.key("read", "operate", "send"))
    assert refused.status == 403
    shown = await api.ask("GET", path, await api.key("read", "reveal"))
    assert shown.data["recipient"] == "jane@example.com"
    assert shown.data["body"]["body"] == "How are you?"


async def test_it_does_not_exist_for_another_tenant(api: ApiRig, id_: UUID) -> None:
    path = f"/v1/notifications/{id_}"
    other = await api.ask("GET", path, await api.key(tenant="bank"))
    unknown = await api.ask("GET", f"/v1/notifications/{UUID(int=7)}", await api.key(tenant="bank"))
    assert (other.status, unknown.status) == (404, 404)
    assert other.data["detail"].replace(str(id_), str(UUID(int=7))) == unknown.data["detail"]
    assert (await api.ask("GET", path, await api.key(tenant="*"))).status == 200


async def test_it_is_not_sent_again_unless_it_has_changed(api: ApiRig, id_: UUID) -> None:
    path, key = f"/v1/notifications/{id_}", await api.key()
    first = await api.ask("GET", path, key)
    tags = {"If-None-Match": f'"other", {first.headers["ETag"]}'}
    again = await api.ask("GET", path, key, headers=tags)
    assert (again.status, again.body) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    await api.execute("UPDATE notifications SET state = 'discarded' WHERE id = $1", id_)
    assert (await api.ask("GET", path, key, headers=tags)).data["state"] == "discarded"


async def test_a_message_that_never_became_one_is_shown_by_its_dead_letters_to_its_tenant(
    api: ApiRig,
) -> None:
    id_ = UUID(int=42)
    await api.execute(
        "INSERT INTO dead_letters (id, notification_id, reason, state, channel, tenant, body, fingerprint, first_failed_at,"
        " last_failed_at, dead_lettered_at, exchange, routing_key, headers, kind, message)"
        " VALUES ($1, $2, 'malformed', 'open', 'email', 'shop', '{}', 'f', now(), now(), now(), '', 'email.normal', '{}', 'malformed', 'm')",
        UUID(int=43),
        id_,
    )
    own = await api.ask("GET", f"/v1/notifications/{id_}", await api.key("read", tenant="shop"))
    assert (own.status, own.data["state"], len(own.data["dead_letters"])) == (200, None, 1)
    other = await api.ask("GET", f"/v1/notifications/{id_}", await api.key("read", tenant="bank"))
    assert other.status == 404
