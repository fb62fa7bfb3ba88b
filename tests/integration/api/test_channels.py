"""`/v1/channels` and `/v1/health`: what operators see and order."""

import json

import pytest
from tests.support.api_rig import ApiRig

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def state(api: ApiRig, key: str, channel: str, provider: str | None = None) -> str:
    answer = await api.ask("GET", "/v1/channels", key)
    of = {(it["channel"], it["provider"]): it["state"] for it in answer.data["data"]}
    return of[channel, provider]


async def test_a_channel_is_paused_and_resumed_by_a_named_key(api: ApiRig) -> None:
    key = await api.key("read", "operate", name="ops")
    note = {"note": "moving to another relay"}
    headers = {"X-Request-Id": "pause-1"}
    paused = await api.ask("POST", "/v1/channels/email/pause", key, json=note, headers=headers)
    assert paused.data["changed"]
    assert await state(api, key, "email") == "paused"
    again = await api.ask("POST", "/v1/channels/email/pause", key, json={})
    assert again.data["changed"] is False
    assert (await api.ask("POST", "/v1/channels/email/resume", key, json={})).data["changed"]
    assert await state(api, key, "email") != "paused"
    rows = await api.fetch(
        "SELECT actor, note FROM channel_orders WHERE actor LIKE '%request pause-1%'"
    )
    assert [tuple(row.values()) for row in rows] == [
        (f"api-key ops {key[:16]} (request pause-1)", "moving to another relay")
    ]


async def test_a_provider_is_disabled_and_enabled(api: ApiRig) -> None:
    key, path = await api.key("operate"), "/v1/channels/sms/providers/primary"
    for order in ("disable", "enable"):
        answer = await api.ask("POST", f"{path}/{order}", key, json={"note": "a ticket"})
        assert (answer.status, answer.data["provider"]) == (200, "primary")
    rows = await api.fetch("SELECT verb FROM channel_orders WHERE provider = 'primary' ORDER BY id")
    assert [row["verb"] for row in rows] == ["disable", "enable"]


async def test_what_does_not_exist_is_not_found(api: ApiRig) -> None:
    key = await api.key("operate")
    for path in ("/v1/channels/emial/pause", "/v1/channels/email/providers/backup/disable"):
        answer = await api.ask("POST", path, key, json={})
        assert answer.status == 404
        assert "unknown" in answer.data["detail"]


async def test_health_is_what_the_doctor_finds(api: ApiRig) -> None:
    answer = await api.ask("GET", "/v1/health", await api.key("operate"))
    of = {finding["subject"]: finding["verdict"] for finding in answer.data["findings"]}
    assert (of["PostgreSQL"], of["RabbitMQ"]) == ("ok", "fault")
    assert not answer.data["healthy"]
    assert "postgresql://" not in json.dumps(answer.data)
