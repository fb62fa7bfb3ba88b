"""A test key sends to nobody, and sees and changes nothing but tests."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.support.api_rig import Answer, ApiRig

from tidings.api.route import Route
from tidings.api.routes import routes

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAMING = tuple(route for route in routes() if route.named is not None)
MAIL = {"channel": "email", "recipient": "ada@example.com", "subject": "Hello", "body": "Hi."}
BODIES: dict[str, dict[str, Any]] = {
    "PATCH /v1/notifications/{id}": {"scheduled_at": "2026-12-24T18:00:00Z"},
    "PATCH /v1/dead-letters/{id}": {"set": {"subject": "Other"}},
    "PUT /v1/dead-letters/{id}/note": {"note": "seen"},
    "POST /v1/dead-letters/{id}/discard": {"note": "no longer needed"},
    "POST /v1/schedules/{id}/run": {"recipients": ["ada@example.com"]},
    "POST /v1/notifications/{id}/resend": {"force": True},
    "POST /v1/outbox/{id}/mark-failed": {"note": "given up"},
    "POST /v1/outbox/{id}/mark-pending": {"note": "again"},
}
DEAD_LETTER = """
INSERT INTO dead_letters (id, notification_id, epoch, state, reason, kind, code, message, provider, fingerprint, channel, priority,
                          tenant, category, recipient, attempts, first_failed_at, last_failed_at, dead_lettered_at, exchange,
                          routing_key, headers, properties, body, test)
SELECT $2, id, 0, 'open', 'rejected', 'rejected', '550', 'no such user', 'x', $3, channel, priority, tenant, category, recipient, 1,
       now(), now(), now(), 'tidings.dead', 'email.normal', '{}', '{}', body, test FROM notifications WHERE id = $1
"""
FAIL = "UPDATE notifications SET state = 'failed', reason = 'rejected', dispatch_at = NULL, finished_at = now() WHERE id = $1"


async def submit(api: ApiRig, key: str, **fields: Any) -> UUID:
    """Submit a notification, which waits in the outbox: RabbitMQ is not there."""
    answer = await api.ask("POST", "/v1/notifications", key, json={**MAIL, **fields})
    assert answer.status == 202, answer.data
    return UUID(answer.data["id"])


class Kind:
    """One of everything that has an id: of tests, or of what is no test."""

    def __init__(self, api: ApiRig, key: str, word: str) -> None:
        self.api, self.key, self.word = api, key, word

    async def made(self, route: Route) -> str:
        """A new thing for a route."""
        notification = await submit(self.api, self.key, category=self.word)
        match route.path.split("/")[2]:
            case "notifications" if route.method == "PATCH":
                return str(
                    await submit(self.api, self.key, scheduled_at="2026-12-20T18:00:00+00:00")
                )
            case "notifications" | "outbox":
                return str(notification)
            case "dead-letters":
                dead_letter = uuid4()
                await self.api.execute(FAIL, notification)
                await self.api.execute(DEAD_LETTER, notification, dead_letter, uuid4().hex)
                if route.method == "DELETE":
                    path = route.path.replace("{id}", str(dead_letter))
                    await self.api.ask("PUT", path, self.key, json={"note": "seen"})
                return str(dead_letter)
            case "schedules":
                return await self._schedule(route)
            case _:
                return await self._job(notification, route)

    async def _schedule(self, route: Route) -> str:
        body = {
            "name": f"s-{uuid4().hex[:12]}",
            "content": {name: MAIL[name] for name in ("channel", "subject", "body")},
            "recipients": ["ada@example.com"],
            "cron": "0 9 * * *",
        }
        answer = await self.api.ask("POST", "/v1/schedules", self.key, json=body)
        assert answer.status == 201, answer.data
        id_ = str(answer.data["id"])
        if route.path.endswith("/resume"):
            await self.api.ask("POST", f"/v1/schedules/{id_}/pause", self.key, json={})
        return id_

    async def _job(self, notification: UUID, route: Route) -> str:
        body = {
            "kind": "cancel",
            "notifications": {"category": self.word},
            "note": "test",
            "plan": {"rate_per_second": 0.001},
        }
        answer = await self.api.ask("POST", "/v1/jobs", self.key, json=body)
        assert answer.status == 201, answer.data
        assert answer.data["item_count"] > 0, notification
        id_ = str(answer.data["id"])
        for verb in {"pause": ("start",), "resume": ("start", "pause")}.get(
            route.path.rpartition("/")[2], ()
        ):
            how: dict[str, Any] = {"json": {}} if verb == "pause" else {}
            await self.api.ask("POST", f"/v1/jobs/{id_}/{verb}", self.key, **how)
        return id_

    async def ask(self, route: Route, id_: str, key: str) -> Answer:
        """Ask a route for a thing."""
        body = BODIES.get(f"{route.method} {route.path}", {})
        how = {"json": body} if route.reads_body else {}
        return await self.api.ask(route.method, route.path.replace("{id}", id_), key, **how)


async def test_what_is_no_test_does_not_exist_for_a_test_key_on_any_route(api: ApiRig) -> None:
    live, test = await api.key(), await api.key(test=True)
    kind = Kind(api, live, f"live-{uuid4().hex[:8]}")
    for route in NAMING:
        id_ = await kind.made(route)
        answer = await kind.ask(route, id_, test)
        assert (route.method, route.path, answer.status) == (route.method, route.path, 404)
        answer = await kind.ask(route, id_, live)
        assert answer.status < 300, (route.method, route.path, answer.data)


async def test_a_message_that_calls_itself_a_test_shows_no_live_notification_that_has_its_id(
    api: ApiRig,
) -> None:
    live, test, dead_letter = await api.key(), await api.key(test=True), uuid4()
    notification = await submit(api, live)
    await api.execute(DEAD_LETTER, notification, dead_letter, uuid4().hex)
    await api.execute("UPDATE dead_letters SET test = true WHERE id = $1", dead_letter)
    for kind in ("notifications", "dead-letters"):
        for id_ in (notification, dead_letter):
            assert (await api.ask("GET", f"/v1/{kind}/{id_}", live)).status == 200
            assert (await api.ask("GET", f"/v1/{kind}/{id_}", test)).status == 404


async def test_tests_are_there_for_test_keys_on_every_route_and_shown_to_live_ones(
    api: ApiRig,
) -> None:
    live, test = await api.key(), await api.key(test=True)
    kind = Kind(api, test, f"test-{uuid4().hex[:8]}")
    for route in NAMING:
        id_ = await kind.made(route)
        for key in (live, test) if route.method == "GET" else (test,):
            answer = await kind.ask(route, id_, key)
            assert answer.status < 300, (route.method, route.path, answer.data)


@pytest.mark.parametrize(
    "path",
    ["/v1/notifications", "/v1/dead-letters", "/v1/jobs", "/v1/outbox", "/v1/schedules"],
)
async def test_a_list_has_tests_or_what_is_no_test(api: ApiRig, path: str) -> None:
    tenant = f"t-{uuid4().hex[:8]}"
    live, test = await api.key(tenant=tenant), await api.key(tenant=tenant, test=True)
    shown = next(route for route in NAMING if route.path.startswith(f"{path}/{{id}}"))
    for key in (live, test):
        id_ = await Kind(api, key, f"l-{uuid4().hex[:8]}").made(shown)
        if "jobs" in path:
            await api.ask("POST", f"/v1/jobs/{id_}/start", key)

    async def kinds(key: str, query: str = "") -> set[bool]:
        answer = await api.ask("GET", f"{path}?limit=100{query}", key)
        assert answer.status == 200, answer.data
        return {each["test"] for each in answer.data["data"]}

    assert await kinds(live) == {False}
    assert await kinds(live, "&test=false") == {False}
    assert await kinds(live, "&test=true") == {True}
    assert await kinds(test) == {True}
    assert await kinds(test, "&test=true") == {True}
    assert (await api.ask("GET", f"{path}?test=false", test)).status == 403


async def test_a_test_key_of_one_tenant_sees_no_test_of_another(api: ApiRig) -> None:
    mine, theirs = (
        await api.key(tenant="t-mine", test=True),
        await api.key(tenant="t-theirs", test=True),
    )
    id_ = await submit(api, theirs)
    assert (await api.ask("GET", f"/v1/notifications/{id_}", theirs)).status == 200
    assert (await api.ask("GET", f"/v1/notifications/{id_}", mine)).status == 404
    assert (await api.ask("GET", "/v1/notifications", mine)).data["data"] == []


@pytest.mark.parametrize(
    "written",
    [
        json.dumps(MAIL),
        json.dumps({**MAIL, "test": None}),
        json.dumps({**MAIL, "test": True}),
        json.dumps(MAIL)[:-1] + ', "t\\u0065st": null}',
        json.dumps(MAIL)[:-1] + ', "test": false, "test": true}',
    ],
)
async def test_what_a_test_key_submits_is_a_test(api: ApiRig, written: str) -> None:
    key = await api.key(test=True)
    headers = {"Content-Type": "application/json"}
    answer = await api.ask("POST", "/v1/notifications", key, headers=headers, data=written)
    assert answer.status == 202, answer.data
    [row] = await api.fetch(
        "SELECT test, body FROM notifications WHERE id = $1", UUID(answer.data["id"])
    )
    assert (row["test"], json.loads(row["body"])["test"]) == (True, True)


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("/v1/notifications", {**MAIL, "test": False}, "/test"),
        ("/v1/notifications/validate", {**MAIL, "test": False}, "/test"),
        (
            "/v1/notifications/batch",
            {"notifications": [{**MAIL, "test": False}]},
            "/notifications/0/test",
        ),
        (
            "/v1/notifications",
            {
                "recipients": ["ada@example.com"],
                **{name: MAIL[name] for name in ("channel", "subject", "body")},
                "test": False,
            },
            "/test",
        ),
        ("/v1/explain", {**MAIL, "test": False}, "/test"),
        (
            "/v1/schedules",
            {
                "name": "live",
                "content": {"channel": "email", "subject": "a", "body": "b", "test": False},
            },
            "/content/test",
        ),
    ],
)
async def test_a_test_key_can_submit_nothing_else(
    api: ApiRig, path: str, body: dict[str, Any], pointer: str
) -> None:
    answer = await api.ask("POST", path, await api.key(test=True), json=body)
    assert answer.status == 422
    assert [error["pointer"] for error in answer.data["errors"]] == [pointer]


async def test_a_live_key_may_submit_a_test(api: ApiRig) -> None:
    key = await api.key()
    id_ = await submit(api, key, test=True)
    answer = await api.ask("GET", f"/v1/notifications/{id_}", key)
    assert answer.data["test"] is True


async def test_many_and_batches_of_a_test_key_are_tests(api: ApiRig) -> None:
    key = await api.key(tenant="t-many", test=True)
    content = {name: MAIL[name] for name in ("channel", "subject", "body")}
    many = {**content, "recipients": ["ada@example.com", {"recipient": "bob@example.com"}]}
    for path, body in (
        ("/v1/notifications", many),
        ("/v1/notifications/batch", {"notifications": [MAIL, {**MAIL, "test": True}]}),
    ):
        answer = await api.ask("POST", path, key, json=body)
        assert (answer.status, answer.data["accepted"]) == (202, 2)
    rows = await api.fetch("SELECT test FROM notifications WHERE tenant = 't-many'")
    assert [row["test"] for row in rows] == [True] * 4


async def test_a_run_of_a_tests_schedule_is_a_test(api: ApiRig) -> None:
    key = await api.key(tenant="t-schedule", test=True)
    body = {
        "name": "nightly",
        "content": {"channel": "email", "subject": "a", "body": "b", "test": None},
        "recipients": ["ada@example.com"],
    }
    assert (await api.ask("POST", "/v1/schedules", key, json=body)).status == 201
    for who in (key, await api.key(tenant="t-schedule")):
        ran = await api.ask("POST", "/v1/schedules/nightly/run", who, json={})
        assert ran.status == 202, ran.data
        [id_] = ran.data["notification_ids"]
        [row] = await api.fetch("SELECT test FROM notifications WHERE id = $1", UUID(id_))
        assert row["test"]


async def test_an_edit_makes_no_test_of_a_live_one_nor_the_other_way_round(api: ApiRig) -> None:
    live, test = await api.key(), await api.key(test=True)
    shown = next(route for route in NAMING if route.path == "/v1/dead-letters/{id}")
    for key, value in ((live, True), (test, False)):
        dead_letter = await Kind(api, key, "edited").made(shown)
        answer = await api.ask(
            "PATCH", f"/v1/dead-letters/{dead_letter}", key, json={"set": {"test": value}}
        )
        assert answer.status == 409
        assert "it has to stay" in answer.data["detail"]
        answer = await api.ask(
            "PATCH", f"/v1/dead-letters/{dead_letter}", key, json={"unset": ["test"]}
        )
        assert answer.status in {409, 422}


async def test_a_job_by_ids_of_a_test_key_takes_tests_only(api: ApiRig) -> None:
    live, test = await api.key(), await api.key(test=True)
    shown = next(route for route in NAMING if route.path == "/v1/dead-letters/{id}")
    ids = [await Kind(api, key, "by-id").made(shown) for key in (live, test)]
    body = {"kind": "discard", "ids": ids, "note": "test"}
    answer = await api.ask("POST", "/v1/jobs", test, json=body)
    assert (answer.status, answer.data["item_count"], answer.data["test"]) == (201, 1, True)
    assert [each["id"] for each in answer.data["sample"]] == [ids[1]]
    answer = await api.ask("POST", "/v1/jobs", live, json=body)
    assert (answer.data["item_count"], answer.data["test"]) == (2, False)


async def test_statistics_count_tests_apart(api: ApiRig) -> None:
    live, test = await api.key(tenant="t-stats"), await api.key(tenant="t-stats", test=True)
    ids = [await submit(api, test) for _ in range(3)]
    cancelled = [*ids, await submit(api, live)]
    for id_ in cancelled:
        await api.ask("DELETE", f"/v1/notifications/{id_}", live)

    async def counted(key: str, query: str = "") -> int:
        answer = await api.ask("GET", f"/v1/stats{query}", key)
        assert answer.status == 200, answer.data
        return int(answer.data["total"]["outcomes"].get("cancelled", 0))

    assert await counted(live) == 1
    assert await counted(live, "?test=true") == 3
    assert await counted(test) == 3
    assert (await api.ask("GET", "/v1/stats?test=false", test)).status == 403


async def test_a_test_key_is_told_nothing_of_a_live_id(api: ApiRig) -> None:
    id_ = await submit(api, await api.key())
    test = await api.key(test=True)
    answer = await api.ask("POST", "/v1/explain", test, json={**MAIL, "id": str(id_)})
    assert answer.status == 200
    assert answer.data["rule"] != "id"
