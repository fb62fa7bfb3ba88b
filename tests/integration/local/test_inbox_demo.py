"""The page of `make run` with two users' inboxes: whom it lets in, and what it hands out."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from pydantic import SecretStr
from tests.support.user_tokens import AUDIENCE, ISSUER, SECRET, VARIABLES

from tidings.api.tokens import UserTokens
from tidings.settings import ApiSettings
from tidings_local.errors import LocalStackError
from tidings_local.inbox_demo.site import InboxDemo

API = "127.0.0.1:1"
"""Nobody listens there."""


class StackWithoutRoles:
    """What the page is given before anything else runs."""

    def __init__(self) -> None:
        self.environment = {
            **VARIABLES,
            "TIDINGS_API_LISTEN": API,
            "TIDINGS_AMQP_URL": "amqp://127.0.0.1:1",
        }

    async def api_key(self) -> str:
        return "tk_live_x"

    async def tidings(self, *arguments: str, width: int | None = None) -> str:
        raise LocalStackError(f"`tidings {' '.join(arguments)}` failed: <nothing> runs")


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with (
        InboxDemo(StackWithoutRoles()) as demo,
        aiohttp.ClientSession(demo.url) as session,
    ):
        yield session


async def test_a_user_s_page_may_load_scripts_of_the_api_and_of_itself_only(
    http: aiohttp.ClientSession,
) -> None:
    async with http.get("/users/ada") as page:
        policy = page.headers["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert f"script-src 'self' http://{API};" in policy
        assert f"connect-src 'self' http://{API} ws://{API};" in policy
        assert f'src="http://{API}/inbox/v1/tidings-inbox.js"' in await page.text()
    async with http.get("/") as page:
        assert "script-src 'self';" in page.headers["Content-Security-Policy"]


async def test_it_signs_tokens_of_its_two_users_alone(http: aiohttp.ClientSession) -> None:
    tokens = UserTokens(
        ApiSettings(jwt_secret=SecretStr(SECRET), jwt_issuer=ISSUER, jwt_audience=AUDIENCE)
    )
    async with http.get("/users/grace/token") as reply:
        assert reply.headers["Cache-Control"] == "no-store"
        user = await tokens.verify(await reply.text())
    assert (user.subject, user.tenant) == ("grace", "default")
    for path in ("/users/somebody", "/users/somebody/token"):
        async with http.get(path) as reply:
            assert reply.status == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80"])
async def test_no_other_name_leads_to_it(http: aiohttp.ClientSession, host: str) -> None:
    async with http.get("/users/ada/token", headers={"Host": host}) as reply:
        assert reply.status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example", "Content-Type": "application/json"},
        {"Origin": "null", "Content-Type": "application/json"},
        {"Content-Type": "text/plain"},
    ],
)
async def test_no_other_page_can_send(http: aiohttp.ClientSession, headers: dict[str, str]) -> None:
    body = b'{"notification": {"recipient": "ada", "title": "Hello"}}'
    async with http.post("/send", data=body, headers=headers) as reply:
        assert reply.status == 403


@pytest.mark.parametrize(
    ("form", "status", "expected"),
    [
        ({"notification": {"recipient": "somebody", "title": "Hello"}}, 422, "ada or grace"),
        ({"notification": {"recipient": "ada", "title": "x", "channel": "email"}}, 422, "ada or"),
        ({"notification": {"recipient": "ada", "title": "x"}, "count": 51}, 422, "1 to 50"),
        ({"notification": {"recipient": "ada", "title": "x"}}, 422, "the API did not answer"),
        ({"notification": {"recipient": "ada"}, "through": "amqp"}, 422, "title: is missing"),
        ({"notification": "nothing"}, 400, "not what the form sends"),
        ([], 400, "not what the form sends"),
    ],
)
async def test_what_can_t_be_sent_is_explained(
    http: aiohttp.ClientSession, form: object, status: int, expected: str
) -> None:
    async with http.post("/send", json=form) as reply:
        assert reply.status == status
        assert expected in (await reply.json())["error"]


async def test_what_a_command_prints_can_do_nothing_to_the_page(
    http: aiohttp.ClientSession,
) -> None:
    id = "0198c2f4-5a10-7c3e-9d55-3f6f1a2b4c5d"
    async with http.get(f"/notifications/{id}") as page:
        text = await page.text()
    assert f"`tidings show {id}` failed: &lt;nothing&gt; runs" in text
    async with http.get("/notifications/--help") as page:
        assert page.status == 404
