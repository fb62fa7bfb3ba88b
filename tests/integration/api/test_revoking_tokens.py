"""`POST /v1/users/{user_id}/revoke-tokens`: a user's tokens are refused at once, everywhere, and nobody else's are."""

import json
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import quote
from uuid import uuid4

import pytest
from tests.support.api_rig import Answer, ApiRig, serving
from tests.support.user_tokens import token_of
from tests.support.worker_rig import eventually

from tidings.delivery.errors import LedgerUnavailable
from tidings.ledger import migrate
from tidings.ledger.operators.token_revocations import TokenRevocation
from tidings.operations.revoked_tokens import RevokedTokens
from tidings.settings import Settings
from tidings_local.postgres import PostgreSQL

pytestmark = pytest.mark.asyncio(loop_scope="module")


def someone() -> str:
    return f"user {uuid4().hex[:8]}"


async def revoke(api: ApiRig, user: str, key: str, **parameters: str) -> Answer:
    path = f"/v1/users/{quote(user, safe='')}/revoke-tokens"
    return await api.ask("POST", path, key, params=parameters)


async def status(api: ApiRig, token: str) -> int:
    return (await api.ask("GET", "/v1/inbox/unread-count", token)).status


async def test_old_tokens_are_refused_at_once_and_new_ones_are_not(api: ApiRig) -> None:
    user = someone()
    old, ageless = token_of(user, "shop"), token_of(user, "shop", iat=None)
    assert [await status(api, token) for token in (old, ageless)] == [200, 200]
    answer = await revoke(api, user, await api.key("operate", tenant="shop"))
    assert (answer.status, answer.data["tenant"], answer.data["user_id"]) == (200, "shop", user)
    since = datetime.fromisoformat(answer.data["valid_since"])
    assert since - datetime.now(UTC) < timedelta(seconds=1)
    assert [await status(api, token) for token in (old, ageless)] == [401, 401]
    refused = await api.ask("GET", "/v1/inbox", old)
    assert "has been revoked" in refused.data["detail"]
    assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"]
    new = token_of(user, "shop", iat=int(since.timestamp()))
    assert await status(api, new) == 200
    assert await status(api, token_of(user, "shop", iat=since.timestamp() - 1)) == 401


async def test_another_process_refuses_them_too_and_tells_its_listeners(api: ApiRig) -> None:
    user = someone()
    token = token_of(user, "shop")
    heard: list[TokenRevocation] = []
    async with serving(api.settings) as other:
        assert await status(other, token) == 200
        assert other.api.revoked_tokens is not None
        other.api.revoked_tokens.listen(heard.append)
        await revoke(api, user, await api.key("operate", tenant="shop"))

        async def refused() -> bool:
            return await status(other, token) == 401

        await eventually(refused, within=2)  # by NOTIFY: the next reading is five seconds away
        assert [(each.tenant, each.user_id) for each in heard] == [("shop", user)]
    async with serving(api.settings) as later:
        assert await status(later, token) == 401


async def test_nobody_elses_tokens_are_revoked(api: ApiRig) -> None:
    user = f"{uuid4().hex[:8]}Öne"
    others = [
        *(token_of(each, "shop") for each in (user.upper(), user.lower(), f"{user} ", f" {user}")),
        *(
            token_of(each, "shop")
            for each in (user.replace("Ö", "O\u0308"), f"{user}%", f"{user}'")
        ),
        *(token_of(user, tenant) for tenant in ("default", "shop2")),
    ]
    await revoke(api, user, await api.key("operate", tenant="shop"))
    assert await status(api, token_of(user, "shop")) == 401
    assert [await status(api, token) for token in others] == [200] * len(others)


@pytest.mark.parametrize("user", ["a/b", "a b", "ü", "%2F", "'", '"', "a?b#c", "x" * 255, "..x"])
async def test_a_users_id_is_whatever_the_application_calls_the_user(
    api: ApiRig, user: str
) -> None:
    answer = await revoke(api, user, await api.key("operate", tenant="shop"))
    assert (answer.status, answer.data["user_id"]) == (200, user)


async def test_a_key_of_all_tenants_names_the_tenant(api: ApiRig) -> None:
    user, key = someone(), await api.key("operate")
    assert (await revoke(api, user, key)).data["tenant"] == "default"
    assert (await revoke(api, user, key, tenant="shop")).data["tenant"] == "shop"
    other = await revoke(api, user, await api.key("operate", tenant="bank"), tenant="shop")
    assert other.status == 403
    unprintable = await revoke(api, "a\u0007b", key)
    assert (unprintable.status, unprintable.data["errors"][0]["pointer"]) == (422, "/user_id")


async def test_it_is_in_the_audit_trail_without_the_users_id(api: ApiRig) -> None:
    user, key = someone(), await api.key("operate", tenant="shop")
    path = f"/v1/users/{quote(user)}/revoke-tokens"
    await api.ask("POST", path, key, json={"note": "lost her phone"})
    rows = await api.fetch(
        "SELECT * FROM operator_actions WHERE action = 'revoke tokens' AND position($1 in actor) > 0",
        key[:16],
    )
    [row] = rows
    assert row["note"] == "lost her phone"
    assert json.loads(row["details"])["tenant"] == "shop"
    assert user not in str(row)


async def test_revoked_tokens_stay_refused_while_postgresql_is_away(
    own_postgresql: PostgreSQL, environment: pytest.MonkeyPatch
) -> None:
    url = own_postgresql.url()
    await migrate(url)
    environment.setenv("TIDINGS_DATABASE_URL", url)
    revoked, valid = token_of("u-revoked"), token_of("u-valid")
    async with serving(Settings()) as rig:
        assert (await revoke(rig, "u-revoked", await rig.key())).status == 200
        own_postgresql.stop()
        try:
            assert await status(rig, revoked) == 401
            assert await status(rig, valid) == 503
            unread = RevokedTokens(rig.backend.ledger.token_revocations)
            with pytest.raises(LedgerUnavailable):
                unread.is_revoked("default", "u-valid", None)
        finally:
            own_postgresql.start()


async def test_one_that_is_committed_late_is_read_all_the_same(api: ApiRig) -> None:
    kept = RevokedTokens(api.backend.ledger.token_revocations)
    user, early = someone(), datetime.now(UTC) - timedelta(minutes=1)
    await kept.refresh()
    await revoke(api, someone(), await api.key("operate"))
    await kept.refresh()
    await api.execute("INSERT INTO user_token_revocations VALUES ('shop', $1, $2)", user, early)
    await kept.refresh()
    assert kept.is_revoked("shop", user, early - timedelta(seconds=1))
    assert not kept.is_revoked("shop", user, datetime.fromtimestamp(time.time(), UTC))
