"""Tokens of end users: what is valid, and every way in which one is not."""

import base64
import json
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
import pytest_asyncio
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from pydantic import SecretStr

from tidings.api import key_sets
from tidings.api.principal import EndUser
from tidings.api.problems import ApiProblem
from tidings.api.tokens import UserTokens, parsed
from tidings.delivery.errors import ConfigurationError
from tidings.settings import ApiSettings

ISSUER, AUDIENCE = "https://login.example.com", "tidings"
SECRET = "0123456789abcdef0123456789abcdef"
RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
RSA_PEM = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
EC_PEM = EC.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def claims(**changed: Any) -> dict[str, Any]:
    """Those of a valid token; one that is None is left out."""
    every = {
        "sub": "user-1",
        "tenant": "shop",
        "iss": ISSUER,
        "aud": AUDIENCE,
        "exp": int(time.time()) + 60,
        **changed,
    }
    return {name: value for name, value in every.items() if value is not None}


def settings(**fields: Any) -> ApiSettings:
    return ApiSettings(jwt_issuer=ISSUER, jwt_audience=AUDIENCE, **fields)


def of_a_secret() -> UserTokens:
    return UserTokens(settings(jwt_secret=SecretStr(SECRET)))


async def refusal(tokens: UserTokens, token: str) -> ApiProblem:
    with pytest.raises(ApiProblem) as raised:
        await tokens.verify(token)
    return raised.value


@pytest.mark.parametrize(
    ("algorithm", "key", "fields"),
    [
        ("HS256", SECRET, {"jwt_secret": SecretStr(SECRET)}),
        ("RS256", RSA, {"jwt_public_key": RSA_PEM}),
        ("ES256", EC, {"jwt_public_key": EC_PEM}),
    ],
)
async def test_a_valid_token_gives_subject_and_tenant(
    algorithm: str, key: Any, fields: Mapping[str, Any]
) -> None:
    tokens = UserTokens(settings(**fields))
    assert tokens.accepted
    issued = 1_767_225_600.5
    user = await tokens.verify(jwt.encode(claims(iat=issued, exp=4_102_444_800), key, algorithm))
    new_year = datetime(2026, 1, 1, tzinfo=UTC)
    assert user == EndUser(
        "user-1",
        "shop",
        issued_at=new_year + timedelta(seconds=0.5),
        expires_at=datetime(2100, 1, 1, tzinfo=UTC),
    )
    of_default = await tokens.verify(jwt.encode(claims(tenant=None), key, algorithm))
    assert (of_default.subject, of_default.tenant) == ("user-1", "default")
    assert of_default.issued_at is None


async def test_a_time_beyond_the_calendar_is_its_end() -> None:
    token = jwt.encode(claims(iat=-1e20, exp=1e20), SECRET, "HS256")
    user = await of_a_secret().verify(token)
    assert (user.issued_at, user.expires_at) == (
        datetime.min.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": 946_684_800},  # the year 2000
        {"exp": None},
        {"exp": "soon"},
        {"iat": "then"},
        {"iat": 32_503_680_000},
        {"nbf": 32_503_680_000},  # the year 3000
        {"aud": "another"},
        {"aud": None},
        {"iss": "https://evil.example.com"},
        {"iss": None},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 256},
        {"sub": "a\nb"},
        {"tenant": "*"},
        {"tenant": "A B"},
        {"tenant": ["shop"]},
        {"tenant": 7},
    ],
    ids=str,
)
async def test_a_token_with_a_wrong_claim_is_refused(changed: Mapping[str, Any]) -> None:
    token = jwt.encode(claims(**changed), SECRET, "HS256", headers={})
    assert (await refusal(of_a_secret(), token)).kind.status == 401


async def test_a_clock_may_differ_by_half_a_minute() -> None:
    token = jwt.encode(claims(exp=int(time.time()) - 20), SECRET, "HS256")
    assert (await of_a_secret().verify(token)).subject == "user-1"


def unsigned(header: Mapping[str, Any]) -> str:
    """A token without a signature."""
    parts = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in (header, claims())
    )
    return ".".join((*parts, ""))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", "HS512", "PS256", None])
async def test_an_algorithm_that_is_not_ours_is_refused(algorithm: object) -> None:
    token = unsigned({"alg": algorithm, "typ": "JWT"})
    for tokens in (of_a_secret(), UserTokens(settings(jwt_public_key=RSA_PEM))):
        assert (await refusal(tokens, token)).kind.status == 401


@pytest.mark.parametrize("pem", [RSA_PEM, EC_PEM], ids=["RSA", "EC"])
async def test_a_public_key_is_never_taken_for_a_secret(pem: str) -> None:
    import hashlib
    import hmac

    def encoded(part: bytes) -> bytes:
        return base64.urlsafe_b64encode(part).rstrip(b"=")

    signed = b".".join(
        encoded(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims())
    )
    for secret in (pem, pem.strip()):
        mac = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
        token = (signed + b"." + encoded(mac)).decode()
        tokens = UserTokens(settings(jwt_public_key=pem))
        assert (await refusal(tokens, token)).kind.status == 401
        both = UserTokens(settings(jwt_public_key=pem, jwt_secret=SecretStr(SECRET)))
        assert (await refusal(both, token)).kind.status == 401


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "é.é.é", "x" * 9000, "e30.e30.e30"])
async def test_what_is_no_token_is_refused(token: str) -> None:
    assert (await refusal(of_a_secret(), token)).kind.status == 401


async def test_a_changed_token_is_refused() -> None:
    head, _, signature = jwt.encode(claims(), SECRET, "HS256").split(".")
    other = jwt.encode(claims(sub="user-2"), "another secret that is long enough!!", "HS256")
    for token in (f"{head}.{other.split('.')[1]}.{signature}", other):
        assert (await refusal(of_a_secret(), token)).kind.status == 401


def test_a_weak_or_wrong_key_is_refused_at_the_start() -> None:
    with pytest.raises(ConfigurationError, match="32 bytes"):
        UserTokens(settings(jwt_secret=SecretStr("short")))
    with pytest.raises(ConfigurationError, match="TIDINGS_API_JWT_PUBLIC_KEY"):
        UserTokens(settings(jwt_public_key="-----BEGIN NOTHING-----"))
    for missing in ({"jwt_issuer": ISSUER}, {"jwt_audience": AUDIENCE}, {}):
        with pytest.raises(ConfigurationError, match="TIDINGS_API_JWT_ISSUER"):
            UserTokens(ApiSettings(jwt_secret=SecretStr(SECRET), **missing))
    with pytest.raises(ValueError, match="https"):
        settings(jwt_keys_url="http://login.example.com/jwks.json")


class Issuer:
    """Serves a key set, which may change or go away."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = []
        self.status = 200
        self.asked = 0
        self.url = ""

    async def answer(self, _: web.Request) -> web.Response:
        self.asked += 1
        return web.json_response({"keys": self.keys}, status=self.status)

    def publish(self, id: str, key: Any) -> None:
        algorithm = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
        jwk = json.loads(algorithm.to_jwk(key.public_key()))
        self.keys = [{**jwk, "kid": id, "use": "sig"}]


@pytest_asyncio.fixture
async def issuer() -> AsyncIterator[Issuer]:
    issuer = Issuer()
    app = web.Application()
    app.router.add_get("/jwks.json", issuer.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    issuer.url = f"http://127.0.0.1:{runner.addresses[0][1]}/jwks.json"
    yield issuer
    await runner.cleanup()


def of(issuer: Issuer) -> UserTokens:
    return UserTokens(settings(jwt_keys_url=issuer.url))


def token_of(id: str | None, key: Any, algorithm: str) -> str:
    return jwt.encode(claims(), key, algorithm, headers={} if id is None else {"kid": id})


async def test_keys_come_from_the_issuer_and_may_be_rotated(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_sets, "COOLDOWN", 0.0)
    issuer.publish("old", RSA)
    tokens = of(issuer)
    for _ in range(5):
        assert (await tokens.verify(token_of("old", RSA, "RS256"))).subject == "user-1"
    assert issuer.asked == 1
    issuer.publish("new", EC)
    assert (await tokens.verify(token_of("new", EC, "ES256"))).subject == "user-1"
    assert (await refusal(tokens, token_of("old", RSA, "RS256"))).kind.status == 401


async def test_invented_key_ids_do_not_make_us_call_the_issuer_at_will(issuer: Issuer) -> None:
    issuer.publish("known", RSA)
    tokens = of(issuer)
    for number in range(20):
        token = token_of(f"invented-{number}", RSA, "RS256")
        assert (await refusal(tokens, token)).kind.status == 401
    assert issuer.asked == 1
    assert (await tokens.verify(token_of("known", RSA, "RS256"))).subject == "user-1"


async def test_known_keys_count_while_the_issuer_is_down(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_sets, "COOLDOWN", 0.0)
    issuer.publish("known", RSA)
    tokens = of(issuer)
    await tokens.verify(token_of("known", RSA, "RS256"))
    issuer.status = 500
    assert (await tokens.verify(token_of("known", RSA, "RS256"))).subject == "user-1"
    assert (await refusal(tokens, token_of("unknown", RSA, "RS256"))).kind.status == 401


async def test_an_issuer_that_never_answered_is_a_problem_of_ours(issuer: Issuer) -> None:
    issuer.status = 503
    assert (await refusal(of(issuer), token_of("a", RSA, "RS256"))).kind.status == 503


async def test_a_key_is_used_with_its_own_algorithm_alone(issuer: Issuer) -> None:
    issuer.publish("known", EC)
    tokens = of(issuer)
    for token in (token_of("known", RSA, "RS256"), token_of("known", SECRET, "HS256")):
        assert (await refusal(tokens, token)).kind.status == 401
    assert (await refusal(tokens, token_of(None, EC, "ES256"))).kind.status == 401


def test_keys_that_can_not_be_used_are_left_out_of_a_set() -> None:
    jwk = json.loads(RSAAlgorithm.to_jwk(RSA.public_key()))
    secret = base64.urlsafe_b64encode(SECRET.encode()).decode()
    document = {
        "keys": [
            {**jwk, "kid": "good"},
            {**jwk, "kid": "encrypts", "use": "enc"},
            {**jwk, "kid": "another algorithm", "alg": "PS256"},
            jwk,
            {"kty": "oct", "k": secret, "kid": "symmetric"},
            {"kty": "EC", "crv": "P-384", "kid": "curve"},
            {"kty": "RSA", "kid": "broken", "n": "!", "e": "AQAB"},
            "nonsense",
        ]
    }
    assert list(parsed(document)) == ["good"]
    for nonsense in ([], {}, {"keys": {}}, "keys", None):
        with pytest.raises(ValueError, match="no JWK set"):
            parsed(nonsense)
