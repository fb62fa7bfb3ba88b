"""Pages of other origins use inboxes from a browser: those that the settings name, and no other."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from pydantic import BaseModel, ValidationError
from tests.support.api_rig import Answer, ApiRig, serving
from tests.support.user_tokens import token_of

from tidings.api.cross_origin import CrossOrigin
from tidings.api.route import AnyCall, Documented, Reply, Route
from tidings.api.routes import routes
from tidings.settings import ApiSettings, Settings

pytestmark = pytest.mark.asyncio(loop_scope="module")

APP, OTHER = "https://app.example.com", "https://evil.example.com"
ASKS = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}


class Held(BaseModel):
    """A reply."""


@pytest_asyncio.fixture(loop_scope="module")
async def api(environment: pytest.MonkeyPatch) -> AsyncIterator[ApiRig]:
    """Whose settings name an origin."""
    environment.setenv("TIDINGS_API_ORIGINS", f"{APP} http://localhost:5173")
    async with serving(Settings().check()) as rig:
        yield rig


async def ask(
    api: ApiRig, method: str, path: str, origin: str | None = APP, **headers: str
) -> Answer:
    sent = {"Origin": origin} if origin else {}
    return await api.ask(method, path, headers={**sent, **headers})


def shared(answer: Answer, origin: str = APP) -> bool:
    """Whether a page of this origin may read the answer."""
    assert "Access-Control-Allow-Credentials" not in answer.headers
    return answer.headers.get("Access-Control-Allow-Origin") == origin


async def test_a_browser_is_told_what_it_may_send_without_a_token(api: ApiRig) -> None:
    for path in ("/v1/inbox", "/v1/inbox/read", "/v1/inbox/messages/x", "/v1/inbox/nothing"):
        answer = await ask(api, "OPTIONS", path, **ASKS)
        assert (answer.status, answer.body, shared(answer)) == (204, b"", True)
        assert answer.headers["Access-Control-Allow-Methods"] == "GET, POST"
        assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
        assert int(answer.headers["Access-Control-Max-Age"]) > 0
        assert "Origin" in answer.headers.getall("Vary")


async def test_a_page_of_another_origin_may_neither_send_nor_read(api: ApiRig) -> None:
    for origin in (OTHER, f"{APP}.evil.example", APP.upper(), "null", f"{APP}:443", "http://app"):
        refused = await ask(api, "OPTIONS", "/v1/inbox", origin, **ASKS)
        assert (refused.status, "TIDINGS_API_ORIGINS" in refused.data["detail"]) == (403, True)
        answer = await ask(api, "GET", "/v1/inbox", origin, Authorization=f"Bearer {token_of('u')}")
        for each in (refused, answer):
            assert "Access-Control-Allow-Origin" not in each.headers
            assert each.headers.getall("Vary") == ["Origin"]


async def test_replies_are_kept_apart_by_origin_even_without_one(api: ApiRig) -> None:
    answer = await ask(api, "GET", "/v1/inbox", None, Authorization=f"Bearer {token_of('u')}")
    assert (answer.status, answer.headers.getall("Vary")) == (200, ["Origin"])


async def test_a_page_can_read_errors_too(api: ApiRig) -> None:
    token, key = f"Bearer {token_of('u')}", f"Bearer {await api.key()}"
    answers = {
        401: await ask(api, "GET", "/v1/inbox"),
        403: await ask(api, "GET", "/v1/inbox", Authorization=key),
        404: await ask(api, "GET", "/v1/inbox/nothing", Authorization=token),
        405: await ask(api, "DELETE", "/v1/inbox", Authorization=token),
        415: await ask(api, "POST", "/v1/inbox/read", Authorization=token),
        422: await ask(api, "GET", "/v1/inbox?colour=red", Authorization=token),
    }
    assert {status: answer.status for status, answer in answers.items()} == {
        it: it for it in answers
    }
    assert all(shared(answer) for answer in answers.values())
    exposed = answers[422].headers["Access-Control-Expose-Headers"]
    assert {"X-Request-Id", "Retry-After", "RateLimit"} <= set(exposed.split(", "))


async def test_nothing_else_is_for_browsers(api: ApiRig) -> None:
    key = f"Bearer {await api.key()}"
    for path in ("/v1/notifications", "/v1/users/u/revoke-tokens", "/healthz"):
        preflight = await ask(api, "OPTIONS", path, **ASKS)
        assert preflight.status in {401, 405}
        answer = await ask(api, "GET", path, Authorization=key)
        for each in (preflight, answer):
            assert "Access-Control-Allow-Origin" not in each.headers
            assert "Vary" not in each.headers


async def test_limits_are_told_to_a_page_and_do_not_keep_it_from_asking(
    environment: pytest.MonkeyPatch,
) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def waits(_: AnyCall) -> Reply:
        entered.set()
        await leave.wait()
        return Reply({})

    replies = {200: Documented("It worked", Held)}
    slow = Route("GET", "/v1/slow", waits, None, "Wait", replies, "test", end_users=True)
    environment.setenv("TIDINGS_API_ORIGINS", "*")
    environment.setenv("TIDINGS_API_MAX_REQUESTS", "1")
    environment.setenv("TIDINGS_API_USER_RATE_LIMIT", "1/m")
    async with serving(Settings(), slow) as api:
        first, second = (f"Bearer {token_of(user)}" for user in ("u-1", "u-2"))
        held = asyncio.create_task(ask(api, "GET", "/v1/slow", Authorization=first))
        await entered.wait()
        busy = await ask(api, "GET", "/v1/inbox", Authorization=second)
        assert (busy.status, shared(busy, "*")) == (503, True)
        assert (await ask(api, "OPTIONS", "/v1/inbox", **ASKS)).status == 204
        leave.set()
        allowed = await held
        assert (allowed.status, shared(allowed, "*"), "Vary" in allowed.headers) == (
            200,
            True,
            False,
        )
        assert allowed.headers["RateLimit-Policy"] == '"user";q=1;w=60'
        used_up = await ask(api, "GET", "/v1/inbox", Authorization=first)
        assert (used_up.status, shared(used_up, "*")) == (429, True)
        assert "this user may send 1 requests in 60 s" in used_up.data["detail"]
        assert (await ask(api, "GET", "/v1/inbox", Authorization=second)).status == 200
        key = await api.key()
        assert (
            (await api.ask("GET", "/v1/jobs", key)).headers["RateLimit-Policy"].startswith('"key"')
        )


async def test_no_page_may_read_anything_unless_the_settings_say_so() -> None:
    nobody = CrossOrigin((), routes())
    assert nobody.headers("/v1/inbox", APP.encode()) == ()
    preflight = {"method": "OPTIONS", "path": "/v1/inbox"}
    headers = [(b"access-control-request-method", b"GET")]
    assert nobody.preflight({**preflight, "headers": headers}, APP.encode()) is None
    somebody = CrossOrigin((APP,), routes())
    assert somebody.preflight({**preflight, "headers": []}, APP.encode()) is None


@pytest.mark.parametrize(
    "written",
    ["app.example.com", f"{APP}/", f"{APP}/app", "https://App.example.com", "null", f"* {APP}"],
)
async def test_what_is_no_origin_is_refused_at_the_start(written: str) -> None:
    with pytest.raises(ValidationError):
        ApiSettings(origins=written)  # type: ignore[arg-type]  # as in the environment
