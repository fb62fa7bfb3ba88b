"""API keys: made once, found without PostgreSQL, gone at once when they are revoked."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.api_rig import ApiRig, serving
from tests.support.forked import tidings
from tests.support.worker_rig import eventually

from tidings.delivery.errors import InvalidRequest, LedgerUnavailable, NotFound, Refused
from tidings.operations import keys
from tidings.operations.actor import Actor
from tidings.operations.keyring import Keyring
from tidings.settings import Settings
from tidings_local.postgres import PostgreSQL

pytestmark = pytest.mark.asyncio(loop_scope="module")

ASKED = "/v1/notifications/0198c2f4-5a10-7c3e-9d55-3f6f1a2b4c5d"


async def test_a_revoked_key_is_refused_at_once_by_another_process(api: ApiRig) -> None:
    key = await api.key()
    async with serving(api.settings) as other:
        assert (await other.ask("GET", ASKED, key)).status == 404
        await api.revoke(key)

        async def refused() -> bool:
            return (await other.ask("GET", ASKED, key)).status == 401

        await eventually(refused, within=2)  # by NOTIFY: the next reading is five seconds away


async def test_a_key_that_expires_is_refused_from_then_on(api: ApiRig) -> None:
    key = await api.key(expires_at=datetime.now(UTC) + timedelta(seconds=1))

    async def refused() -> bool:
        return (await api.ask("GET", ASKED, key)).status == 401

    await eventually(refused, within=3)


async def test_only_a_hash_is_stored(api: ApiRig) -> None:
    key = await api.key(name="shop-prod")
    [row] = await api.fetch(
        "SELECT api_keys::text AS stored FROM api_keys WHERE prefix = $1", key[:16]
    )
    assert key not in row["stored"]
    assert key[:16] in row["stored"]


async def test_each_change_of_a_key_is_in_the_audit_trail(api: ApiRig) -> None:
    key = await api.key("read", tenant="shop", name="shop-prod")
    await api.revoke(key)
    rows = await api.fetch(
        "SELECT actor, action, details FROM operator_actions WHERE details ->> 'key' = $1 ORDER BY id",
        key[:16],
    )
    assert [(row["actor"], row["action"], json.loads(row["details"])["key"]) for row in rows] == [
        ("cli tester@desk", "create key", key[:16]),
        ("cli tester@desk", "revoke key", key[:16]),
    ]


async def test_the_last_use_of_a_key_is_stored_when_the_api_stops(api: ApiRig) -> None:
    async with serving(api.settings) as other:
        key = await other.key()
        await other.ask("GET", ASKED, key)
    [row] = await api.fetch("SELECT last_used_at FROM api_keys WHERE prefix = $1", key[:16])
    assert datetime.now(UTC) - row["last_used_at"] < timedelta(seconds=30)


async def test_known_keys_work_while_postgresql_is_down_and_no_longer_than_stated(
    own_postgresql: PostgreSQL, environment: pytest.MonkeyPatch
) -> None:
    from tidings.ledger import migrate

    url = own_postgresql.url()
    await migrate(url)
    environment.setenv("TIDINGS_DATABASE_URL", url)
    async with serving(Settings()) as rig:
        key = await rig.key()
        keyring = Keyring(rig.backend.ledger.api_keys, kept=0.2)
        await keyring.refresh()
        own_postgresql.stop()
        try:
            assert (await rig.ask("GET", "/v1/nothing", key)).status == 404
            assert (await rig.ask("GET", ASKED, key)).status == 503
            assert (await rig.ask("GET", "/readyz")).status == 200
            await eventually(lambda: not keyring.loaded, within=2)
            with pytest.raises(LedgerUnavailable):
                keyring.find(key)
        finally:
            own_postgresql.start()


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (keys.CreateKeyRequest("A b", ["read"]), "tenant"),
        (keys.CreateKeyRequest("shop", []), "scope"),
        (keys.CreateKeyRequest("shop", ["raed"]), "scope"),
        (keys.CreateKeyRequest("shop", ["read"], name="a\nb"), "name"),
        (keys.CreateKeyRequest("shop", ["read"], name="x" * 65), "name"),
        (
            keys.CreateKeyRequest("shop", ["read"], expires_at=datetime(2020, 1, 1, tzinfo=UTC)),
            "expires",
        ),
    ],
)
async def test_a_key_that_makes_no_sense_is_not_made(
    api: ApiRig, request_: keys.CreateKeyRequest, field: str
) -> None:
    with pytest.raises(InvalidRequest) as raised:
        await keys.create(api.backend, Actor("cli", "me"), request_)
    assert raised.value.field == field


async def test_a_key_is_revoked_once(api: ApiRig) -> None:
    key, actor = await api.key(), Actor("cli", "me")
    await keys.revoke(api.backend, actor, keys.RevokeKeyRequest(key[:16]))
    with pytest.raises(Refused, match="was revoked at"):
        await keys.revoke(api.backend, actor, keys.RevokeKeyRequest(key[:16]))
    with pytest.raises(NotFound, match="tk_live_00000000"):
        await keys.revoke(api.backend, actor, keys.RevokeKeyRequest("tk_live_00000000"))


async def test_keys_are_made_listed_and_revoked_from_the_terminal(
    database_url: str,
) -> None:
    env = {"TIDINGS_DATABASE_URL": database_url}
    made = await tidings(
        *("keys", "create", "--tenant", "shop", "--scope", "read", "--name", "shop-prod"), env=env
    )
    secret = made.out.strip()
    assert secret.startswith("tk_live_")
    assert secret[:16] in made.err
    listed = await tidings("keys", "list", "--json", env=env)
    [key] = json.loads(listed.out)["data"]
    assert (key["prefix"], key["tenant"], key["scopes"]) == (secret[:16], "shop", ["read"])
    assert secret not in listed.out
    revoked = await tidings("keys", "revoke", secret[:16], "--json", env=env)
    assert json.loads(revoked.out)["state"] == "revoked"
