"""`tidings inbox token`: what it prints is accepted by an API with the same settings, and nothing else is printed."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr
from tests.support.forked import tidings
from tests.support.user_tokens import AUDIENCE, ISSUER, SECRET, VARIABLES

from tidings.api.tokens import UserTokens
from tidings.settings import ApiSettings

PEM = "-----BEGIN PUBLIC KEY-----\n…\n-----END PUBLIC KEY-----"


def without(*names: str) -> dict[str, str]:
    return {name: value for name, value in VARIABLES.items() if name not in names}


def tokens(**fields: str) -> UserTokens:
    settings = {"jwt_secret": SecretStr(SECRET), "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE}
    return UserTokens(ApiSettings.model_validate({**settings, **fields}))


async def test_the_api_takes_it_for_the_user_s() -> None:
    done = await tidings("inbox", "token", "user-4711", "--tenant", "shop", env=VARIABLES)
    assert (done.code, done.out.count("\n")) == (0, 1)
    assert "like a password" in done.err
    user = await tokens().verify(done.out.strip())
    assert (user.subject, user.tenant) == ("user-4711", "shop")
    now = datetime.now(UTC)
    assert user.issued_at is not None
    assert timedelta() <= now - user.issued_at < timedelta(minutes=1)
    assert user.expires_at - user.issued_at == timedelta(hours=1)


async def test_the_tenant_stands_in_the_claim_of_the_settings() -> None:
    variables = {**VARIABLES, "TIDINGS_API_JWT_TENANT_CLAIM": "org"}
    done = await tidings(
        *("inbox", "token", "u", "--tenant", "shop", "--expires", "10m", "--json"), env=variables
    )
    view = json.loads(done.out)
    assert (view["user"], view["tenant"]) == ("u", "shop")
    user = await tokens(jwt_tenant_claim="org").verify(view["token"])
    assert user.tenant == "shop"
    assert user.expires_at == datetime.fromisoformat(view["expires_at"])
    assert user.expires_at - datetime.now(UTC) < timedelta(minutes=10)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "TIDINGS_API_JWT_SECRET is not set"),
        ({**VARIABLES, "TIDINGS_API_JWT_SECRET": "short"}, "write at least 32 bytes"),
        (without("TIDINGS_API_JWT_ISSUER"), "TIDINGS_API_JWT_ISSUER is not set"),
        (without("TIDINGS_API_JWT_AUDIENCE"), "TIDINGS_API_JWT_AUDIENCE is not set"),
        (
            {**without("TIDINGS_API_JWT_SECRET"), "TIDINGS_API_JWT_PUBLIC_KEY": PEM},
            "only a public key here",
        ),
        (
            {
                **without("TIDINGS_API_JWT_SECRET"),
                "TIDINGS_API_JWT_KEYS_URL": "https://login.example.com/jwks.json",
            },
            "only a public key here",
        ),
    ],
)
async def test_without_what_signs_it_there_is_none(
    variables: Mapping[str, str], expected: str
) -> None:
    done = await tidings("inbox", "token", "user-4711", env=variables)
    assert (done.code, done.out) == (2, "")
    assert expected in " ".join(done.err.split())


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (("u" * 256,), "'USER'"),
        (("two\nlines",), "'USER'"),
        (("u", "--tenant", "Shop"), "--tenant"),
        (("u", "--expires", "2026-01-01T00:00:00Z"), "--expires"),
        (("u", "--expires", "soon"), "--expires"),
    ],
)
async def test_what_is_typed_wrongly_is_named(typed: tuple[str, ...], expected: str) -> None:
    done = await tidings("inbox", "token", *typed, env=VARIABLES)
    assert (done.code, done.out) == (2, "")
    assert expected.strip("'") in done.err
