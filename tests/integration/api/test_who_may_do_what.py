"""Every route lets in who it should, and nobody else."""

import pytest
from tests.support.api_rig import ApiRig
from tests.support.user_tokens import token_of

from tidings.api.route import Route
from tidings.api.routes import routes
from tidings.operations.scopes import Scope

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROUTES = tuple(routes())
PUBLIC = {
    *("/healthz", "/readyz", "/openapi.json", "/docs", "/llms.txt"),
    "/inbox/{version}/{file}",
}
ID = "0198c2f4-5a10-7c3e-9d55-3f6f1a2b4c5d"


def address(route: Route) -> str:
    return route.path.replace("{id}", ID)


async def test_the_routes_that_need_no_key_are_few_and_known() -> None:
    assert {route.path for route in ROUTES if route.public} == PUBLIC


async def test_every_other_route_refuses_requests_without_a_key(api: ApiRig) -> None:
    for route in ROUTES:
        if not route.public:
            answer = await api.ask(route.method, address(route))
            assert (route.path, answer.status) == (route.path, 401)
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            assert answer.headers["Content-Type"] == "application/problem+json"


async def test_every_route_refuses_a_key_without_its_scope(api: ApiRig) -> None:
    without = {scope: await api.key(*set(Scope) - {scope}) for scope in Scope}
    for route in ROUTES:
        if route.scope is not None:
            answer = await api.ask(route.method, address(route), without[route.scope])
            assert (route.path, answer.status) == (route.path, 403)
            assert f"`{route.scope}`" in answer.data["detail"]


async def test_what_is_an_end_users_own_is_refused_to_keys(api: ApiRig) -> None:
    key = await api.key()
    own = [route for route in ROUTES if route.end_users]
    assert own
    for route in own:
        answer = await api.ask(route.method, address(route), key)
        assert (route.path, answer.status) == (route.path, 403)
        assert "a token" in answer.data["detail"]


async def test_everything_else_is_refused_to_end_users(api: ApiRig) -> None:
    token = token_of("u-1")
    for route in ROUTES:
        if not (route.public or route.end_users):
            answer = await api.ask(route.method, address(route), token)
            assert (route.path, answer.status) == (route.path, 403)
            assert "an API key" in answer.data["detail"]


async def test_what_concerns_all_tenants_is_refused_to_the_key_of_one(api: ApiRig) -> None:
    key = await api.key(tenant="shop")
    for route in ROUTES:
        if not route.public and not route.tenant_bound:
            answer = await api.ask(route.method, address(route), key)
            assert (route.path, answer.status) == (route.path, 403)


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "Bearer tk_live_short",
        "Bearer é",
        "tk_live_x",
    ],
)
async def test_what_is_no_key_is_refused(api: ApiRig, authorization: str) -> None:
    headers = {"Authorization": authorization}
    answer = await api.ask("GET", f"/v1/notifications/{ID}", headers=headers)
    assert (answer.status, answer.data["type"]) == (401, "urn:tidings:problem:unauthenticated")


async def test_an_address_without_a_route_is_told_to_nobody_without_a_key(api: ApiRig) -> None:
    assert (await api.ask("GET", "/v1/nothing")).status == 401
    assert (await api.ask("GET", "/v1/nothing", await api.key())).status == 404


async def test_a_test_key_changes_nothing_that_live_notifications_share(api: ApiRig) -> None:
    key = await api.key(test=True)
    refused = [route for route in ROUTES if not (route.public or route.for_test_keys)]
    assert {route.path for route in refused} == {
        "/v1/alert-rules",
        "/v1/alert-rules/reseal",
        "/v1/alert-rules/{rule}",
        "/v1/alert-rules/{rule}/disable",
        "/v1/alert-rules/{rule}/enable",
        "/v1/alert-rules/{rule}/history",
        "/v1/alert-rules/{rule}/test",
        "/v1/audit",
        "/v1/channels/{channel}/pause",
        "/v1/channels/{channel}/resume",
        "/v1/channels/{channel}/providers/{provider}/disable",
        "/v1/channels/{channel}/providers/{provider}/enable",
        "/v1/dead-letters/groups/{fingerprint}/note",
        "/v1/dead-letters/groups/{fingerprint}/owner",
        "/v1/health",
        "/v1/scheduler/pause",
        "/v1/scheduler/resume",
        "/v1/users/{user_id}/revoke-tokens",
    }
    for route in refused:
        answer = await api.ask(route.method, address(route), key)
        assert (route.path, answer.status) == (route.path, 403)
        assert "a test key can't" in answer.data["detail"]
