"""Rules of alerts over HTTP: who may make them, what they are refused, and that no secret comes out again."""

from typing import Any
from uuid import uuid4

import pytest
from tests.support.api_rig import ApiRig
from tests.support.paging import paging

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    # Apprise loads a hundred services, some of them older than Python.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning"),
]
MAIL = {"to_channel": "email", "recipient": "ops@shop.example"}


def body(**fields: Any) -> dict[str, Any]:
    return {"name": f"rule-{uuid4().hex[:8]}", **MAIL, **fields}


async def test_a_rule_is_made_shown_changed_and_deleted(api: ApiRig) -> None:
    key = await api.key("read", "admin", tenant="shop")
    made = await api.ask("POST", "/v1/alert-rules", key, json=body(category="otp", threshold=10))
    assert made.status == 201, made.body
    assert (made.data["tenant"], made.data["state"]) == ("shop", "enabled")
    assert made.data["destination"] == "email to o…@shop.example"
    path = made.headers["Location"]
    assert (await api.ask("GET", path, key)).data == made.data
    listed = await api.ask("GET", "/v1/alert-rules", key)
    assert made.data in listed.data["data"]
    changed = await api.ask("PATCH", path, key, json={"threshold": 20, "category": None})
    assert (changed.data["threshold"], changed.data["category"]) == (20, None)
    assert changed.data["destination"] == made.data["destination"]
    late = {"threshold": 30, "based_on": made.data["sha256"]}
    refused = await api.ask("PATCH", path, key, json=late)
    assert refused.status == 409
    assert "changed the rule at" in refused.data["detail"]
    terms = {"remind_seconds": 0, "all_clear": False, "based_on": changed.data["sha256"]}
    changed = await api.ask("PATCH", path, key, json=terms)
    assert (changed.data["remind_seconds"], changed.data["all_clear"]) == (0, False)
    disabled = await api.ask("POST", f"{path}/disable", key, json={"note": "INC-1"})
    assert disabled.data["state"] == "disabled"
    assert (await api.ask("POST", f"{path}/enable", key)).data["state"] == "enabled"
    assert (await api.ask("DELETE", path, key)).status == 204
    assert (await api.ask("GET", path, key)).status == 404
    trail = await api.fetch(
        "SELECT action, note FROM operator_actions WHERE details ->> 'name' = $1 ORDER BY id",
        made.data["name"],
    )
    assert [(row["action"], row["note"]) for row in trail] == [
        ("create alert rule", ""),
        ("edit alert rule", ""),
        ("edit alert rule", ""),
        ("disable alert rule", "INC-1"),
        ("enable alert rule", ""),
        ("delete alert rule", ""),
    ]


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"to_channel": None}, "/url"),
        ({"url": "slack://T1/B2/token"}, "/url"),
        ({"recipient": "nobody"}, "/recipient"),
        ({"to_channel": "pigeon"}, "/to_channel"),
        ({"channel": "pigeon"}, "/channel"),
        ({"category": "O T P"}, "/category"),
        ({"reason": "because"}, "/reason"),
        ({"fingerprint": "xyz"}, "/fingerprint"),
        ({"threshold": 0}, "/threshold"),
        ({"window_seconds": 59}, "/window_seconds"),
        ({"every_seconds": 1}, "/every_seconds"),
        ({"watch": "weather"}, "/watch"),
        ({"watch": "providers"}, "/watch"),
        ({"watch": "queues"}, "/watch"),
        ({"queue": "tidings.email.high"}, "/queue"),
        ({"remind_seconds": 59}, "/remind_seconds"),
        ({"watch": "schedules", "category": "otp"}, "/category"),
        ({"tenant": "bank"}, "/tenant"),
        ({"name": "a\nb"}, "/name"),
    ],
)
async def test_what_is_no_rule_is_refused_by_field(
    api: ApiRig, fields: dict[str, Any], pointer: str
) -> None:
    key = await api.key("admin", tenant="shop")
    given = {name: value for name, value in body(**fields).items() if value is not None}
    answer = await api.ask("POST", "/v1/alert-rules", key, json=given)
    assert answer.status == 422, answer.body
    assert [error["pointer"] for error in answer.data["errors"]] == [pointer]


async def test_two_rules_of_a_tenant_have_different_names(api: ApiRig) -> None:
    shop, bank = [await api.key("admin", tenant=tenant) for tenant in ("shop", "bank")]
    rule = body()
    assert (await api.ask("POST", "/v1/alert-rules", shop, json=rule)).status == 201
    assert (await api.ask("POST", "/v1/alert-rules", shop, json=rule)).status == 409
    assert (await api.ask("POST", "/v1/alert-rules", bank, json=rule)).status == 201
    both = await api.ask("GET", f"/v1/alert-rules/{rule['name']}", await api.key("read"))
    assert both.status == 409
    assert "give its id" in both.data["detail"]


async def test_another_tenants_rule_is_not_there(api: ApiRig) -> None:
    mine, theirs = await api.key("admin"), await api.key("read", "admin", tenant="bank")
    for tenant in ("shop", "*"):
        made = await api.ask("POST", "/v1/alert-rules", mine, json=body(tenant=tenant))
        path = made.headers["Location"]
        for method, address in (
            ("GET", path),
            ("GET", f"{path}/history"),
            ("PATCH", path),
            ("POST", f"{path}/test"),
            ("POST", f"{path}/enable"),
            ("POST", f"{path}/disable"),
            ("DELETE", path),
            ("GET", f"/v1/alert-rules/{made.data['name']}"),
        ):
            sent = {"json": {"threshold": 2}} if method == "PATCH" else {}
            assert (await api.ask(method, address, theirs, **sent)).status == 404
        listed = (await api.ask("GET", "/v1/alert-rules", theirs)).data["data"]
        assert made.data["id"] not in {rule["id"] for rule in listed}


async def test_a_receivers_url_is_never_seen_again_whatever_it_answers(api: ApiRig) -> None:
    key = await api.key("read", "admin")
    async with paging() as pager:
        url = pager.url.replace("/page", "/page?+X-Token=s3cret-token")
        made = await api.ask(
            "POST", "/v1/alert-rules", key, json={"name": f"url-{uuid4().hex[:8]}", "url": url}
        )
        assert made.status == 201, made.body
        path = made.headers["Location"]
        sent = await api.ask("POST", f"{path}/test", key)
        pager.status = 403
        refused = await api.ask("POST", f"{path}/test", key)
    gone = await api.ask("POST", f"{path}/test", key)
    history = await api.ask("GET", f"{path}/history", key)
    assert (sent.data["state"], sent.data["answer"]) == ("sent", "accepted")
    assert refused.data["state"] == "failed"
    assert "403" in refused.data["error"]
    assert gone.data["state"] == "failed"
    assert [each["state"] for each in history.data["data"]] == ["failed", "failed", "sent"]
    rule = await api.ask("GET", path, key)
    assert rule.data["destination"] == "json://127.0.0.1/…"
    assert rule.data["last_alert_at"] is None
    for answer in (made, sent, refused, gone, history, rule):
        assert b"s3cret" not in answer.body
