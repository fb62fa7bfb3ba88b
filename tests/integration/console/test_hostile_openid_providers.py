"""Whatever a provider, or somebody in its place, sends: nobody is signed in by it, and people read why."""

import base64
import hmac
import re
from collections.abc import AsyncIterator, Callable
from time import time
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import pytest_asyncio
from aiohttp import web
from joserfc.jwk import RSAKey
from tests.support.console_rig import ConsoleRig, Person, Shown, console_serving
from tests.support.openid_providers import CLIENT, SECRET, ScriptedProvider

from tidings.console.openid import documents
from tidings.console.sessions import SESSION
from tidings.settings import Settings

pytestmark = pytest.mark.asyncio(loop_scope="module")

Lie = Callable[[ScriptedProvider], Any]
OTHER_KEY = RSAKey.generate_key(2048, {"kid": "first"})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[ScriptedProvider]:
    """One for all tests of the module."""
    async with ScriptedProvider().serving() as provider:
        yield provider


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(provider: ScriptedProvider, console_settings: Settings) -> AsyncIterator[ConsoleRig]:
    """A console that trusts it."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TIDINGS_CONSOLE_URL", "http://127.0.0.1:1")
        environment.setenv("TIDINGS_CONSOLE_OIDC_ISSUER", provider.issuer)
        environment.setenv("TIDINGS_CONSOLE_OIDC_CLIENT_ID", CLIENT)
        environment.setenv("TIDINGS_CONSOLE_OIDC_CLIENT_SECRET", SECRET)
        environment.setenv("TIDINGS_CONSOLE_API_KEYS", "false")
        async with console_serving(Settings().check()) as rig:
            yield rig


@pytest.fixture(autouse=True)
def honest(provider: ScriptedProvider) -> None:
    """It lies in one test at a time."""
    provider.token = ScriptedProvider.signed
    provider.answer = None
    provider.userinfo = {}
    provider.metadata = {}


async def came_back(
    person: Person, provider: ScriptedProvider, lie: Lie = lambda _: None, **query: str
) -> Shown:
    """Begin, and come back at once with the provider's answer."""
    begun = await person.get("/sign-in/openid", follow=False)
    sent = {
        name: values[0]
        for name, values in parse_qs(urlsplit(begun.headers["Location"]).query).items()
    }
    provider.claims = provider.truth(sent["nonce"])
    lie(provider)
    given = {"state": sent["state"], "code": "c0de", **query}
    return await person.get(f"/sign-in/openid/callback?{urlencode(given)}", follow=False)


def nobody_is_signed_in(person: Person) -> bool:
    return SESSION not in {cookie.key for cookie in person.session.cookie_jar}


def drop(claim: str) -> Lie:
    return lambda it: it.claims.pop(claim)


def say(**claims: Any) -> Lie:
    return lambda it: it.claims.update(claims)


def sign(make: Callable[[ScriptedProvider], str]) -> Lie:
    return lambda it: setattr(it, "token", make)


def answer(make: Callable[[], web.StreamResponse]) -> Lie:
    return lambda it: setattr(it, "answer", make)


def with_public_key_as_secret(it: ScriptedProvider) -> str:
    """By hand: the library refuses to sign so."""
    signed, _, _ = it.signed({"alg": "RS256"}).rpartition(".")
    header = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"first"}').decode().rstrip("=")
    text = f"{header}.{signed.partition('.')[2]}"
    mac = hmac.digest(it.key.as_pem(private=False), text.encode(), "sha256")
    return f"{text}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


async def test_the_truth_signs_in(desk: ConsoleRig, provider: ScriptedProvider) -> None:
    person = desk.stranger()
    shown = await came_back(person, provider)
    assert (shown.status, shown.headers["Location"]) == (303, "/console/")
    assert re.search(r"Signed in as jane #[0-9a-f]{8} Role: operator", (await person.get("/")).text)
    basic = base64.b64decode(provider.requests[-1].headers["Authorization"].removeprefix("Basic "))
    assert basic == b"tidings-console:a%20secret%2Fwith%20%2Bsigns"
    assert provider.bodies[-1]["redirect_uri"] == (
        "http://127.0.0.1:1/console/sign-in/openid/callback"
    )
    assert len(str(provider.bodies[-1]["code_verifier"])) >= 43


@pytest.mark.parametrize(
    "lie",
    [
        say(nonce="other"), drop("nonce"), say(nonce=["other"]), say(nonce=None),
        say(aud="another-client"), drop("aud"), say(aud=[]), say(aud=["another", CLIENT]), say(aud={"a": 1}),
        say(azp="another-client"), say(aud=[CLIENT, "another"], azp="another"),
        say(iss="https://evil.example"), drop("iss"),
        say(exp=int(time()) - 3600), drop("exp"), say(exp="never"), say(exp=None),
        say(iat=int(time()) + 3600), drop("iat"), say(nbf=int(time()) + 3600),
        drop("sub"), say(sub=None), say(sub=7), say(sub=""),
        say(at_hash="AAAAAAAAAAAAAAAAAAAAAA"),
        sign(ScriptedProvider.unsigned),
        sign(lambda it: it.signed(key=OTHER_KEY)),
        sign(lambda it: it.signed({"kid": "unknown"}, OTHER_KEY)),
        sign(with_public_key_as_secret),
        sign(lambda it: it.signed()[:-8]),
        sign(lambda _: "no.token.at-all"), sign(lambda _: ""), sign(lambda _: "a" * 40_000),
        sign(lambda it: it.signed({"alg": "PS256"})),
    ],
)  # fmt: skip
async def test_an_id_token_that_proves_nothing_signs_nobody_in(
    desk: ConsoleRig, provider: ScriptedProvider, lie: Lie
) -> None:
    person = desk.stranger()
    shown = await came_back(person, provider, lie)
    assert shown.status == 403, shown.text
    assert "does not prove who you are" in shown.text or "did not say who you are" in shown.text
    assert nobody_is_signed_in(person)


@pytest.mark.parametrize(
    ("make", "status", "says"),
    [
        (lambda: web.json_response({"error": "invalid_grant"}, status=400), 403, "used already"),
        (lambda: web.json_response({"error": "invalid_client"}, status=401), 503, "does not answer"),
        (lambda: web.json_response({"access_token": "at"}), 503, "does not answer"),
        (lambda: web.json_response({"id_token": 7}), 503, "does not answer"),
        (lambda: web.Response(text="<h1>Bad gateway</h1>", status=502), 503, "does not answer"),
        (lambda: web.Response(text="[" * 100_000), 503, "does not answer"),
        (lambda: web.Response(text="a" * 300_000), 503, "does not answer"),
        (lambda: web.Response(status=307, headers={"Location": "/me"}), 503, "does not answer"),
    ],
)  # fmt: skip
async def test_a_token_endpoint_that_answers_something_else_signs_nobody_in(
    desk: ConsoleRig,
    provider: ScriptedProvider,
    make: Callable[[], web.StreamResponse],
    status: int,
    says: str,
) -> None:
    person = desk.stranger()
    shown = await came_back(person, provider, answer(make))
    assert (shown.status, says in shown.text) == (status, True), shown.text
    assert nobody_is_signed_in(person)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"error": "access_denied"}, "did not let you in, or you cancelled there"),
        ({"error": "<script>alert(1)</script>"}, "refused this sign-in"),
        ({"iss": "https://evil.example"}, "of another provider"),
        ({"state": "another"}, "was not begun in this browser"),
        ({"state": ""}, "was not begun in this browser"),
        ({"code": ""}, "without an answer"),
    ],
)
async def test_an_answer_through_the_browser_that_is_wrong_signs_nobody_in(
    desk: ConsoleRig, provider: ScriptedProvider, query: dict[str, str], says: str
) -> None:
    person, before = desk.stranger(), len(provider.requests)
    shown = await came_back(person, provider, **query)
    assert (shown.status, says in shown.text) == (403, True), shown.text
    assert "<script>alert" not in shown.html
    assert nobody_is_signed_in(person)
    assert len(provider.requests) == before


@pytest.mark.parametrize("kept", ["", "!!", "e30", "W10", "eyJzdGF0ZSI6MX0", "a" * 3_000])
async def test_a_cookie_that_is_no_sign_in_signs_nobody_in(desk: ConsoleRig, kept: str) -> None:
    person = desk.stranger()
    person.session.cookie_jar.update_cookies({"tidings_login": kept})
    shown = await person.get("/sign-in/openid/callback?state=&code=c0de", follow=False)
    assert (shown.status, "was not begun in this browser" in shown.text) == (403, True)


async def test_userinfo_of_somebody_else_counts_for_nobody(
    desk: ConsoleRig, provider: ScriptedProvider
) -> None:
    person = desk.stranger()
    provider.userinfo = {"sub": "u-2", "roles": ["admin"]}
    shown = await came_back(person, provider, drop("roles"))
    assert shown.status == 403
    assert nobody_is_signed_in(person)
    provider.userinfo = {"sub": "u-1", "roles": ["viewer"], "preferred_username": "mallory"}
    assert (await came_back(person, provider, drop("roles"))).status == 303
    assert re.search(r"Signed in as jane #[0-9a-f]{8} Role: viewer", (await person.get("/")).text)


async def test_a_new_key_is_read_when_it_is_first_used(
    desk: ConsoleRig, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "COOLDOWN", 0.0)
    before, provider.key = provider.key, RSAKey.generate_key(2048, {"kid": "second"})
    try:
        assert (await came_back(desk.stranger(), provider)).status == 303
    finally:
        provider.key = before
    assert (await came_back(desk.stranger(), provider)).status == 303


async def test_whoever_is_sent_on_is_sent_to_a_page_of_ours(
    desk: ConsoleRig, provider: ScriptedProvider
) -> None:
    for wanted in ("https://evil.example", "//evil.example", "/\\evil.example", "x" * 9_000):
        person = desk.stranger()
        begun = await person.get(f"/sign-in/openid?{urlencode({'next': wanted})}", follow=False)
        sent = parse_qs(urlsplit(begun.headers["Location"]).query)
        provider.claims = provider.truth(sent["nonce"][0])
        query = urlencode({"state": sent["state"][0], "code": "c0de"})
        shown = await person.get(f"/sign-in/openid/callback?{query}", follow=False)
        assert (shown.status, shown.headers["Location"]) == (303, "/console/")


async def test_with_keys_switched_off_no_key_signs_in(desk: ConsoleRig) -> None:
    person = desk.stranger()
    shown = await person.get("/sign-in")
    assert "API key" not in shown.text
    shown = await person.sign_in(await desk.api.key("read"))
    assert shown.status == 404
    assert nobody_is_signed_in(person)


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": None},
        {"token_endpoint": "ftp://example.com"},
        {"jwks_uri": ["https://example.com"]},
        None,
    ],
)
async def test_a_provider_that_is_down_or_another_is_said_on_the_page(
    provider: ScriptedProvider,
    console_settings: Settings,
    metadata: dict[str, Any] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider.metadata = metadata or {}
    issuer = provider.issuer if metadata else "http://127.0.0.1:1"
    monkeypatch.setenv("TIDINGS_CONSOLE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("TIDINGS_CONSOLE_OIDC_ISSUER", issuer)
    monkeypatch.setenv("TIDINGS_CONSOLE_OIDC_CLIENT_ID", CLIENT)
    monkeypatch.setenv("TIDINGS_CONSOLE_API_KEYS", "true")
    async with console_serving(Settings().check()) as rig:
        shown = await rig.stranger().get("/sign-in/openid", follow=False)
        assert shown.status == 503
        assert "single sign-on does not answer as it should" in shown.text
        assert "API key" in shown.text
