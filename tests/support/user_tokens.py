"""Tokens of end users, as an application's login signs them, and the settings of an API that verifies them and has no limit."""

import time
from collections.abc import Mapping
from typing import Any, Final

import jwt

SECRET: Final = "0123456789abcdef0123456789abcdef"
ISSUER: Final = "https://login.example.com"
AUDIENCE: Final = "tidings"
VARIABLES: Final[Mapping[str, str]] = {
    "TIDINGS_API_JWT_SECRET": SECRET,
    "TIDINGS_API_JWT_ISSUER": ISSUER,
    "TIDINGS_API_JWT_AUDIENCE": AUDIENCE,
    "TIDINGS_API_USER_RATE_LIMIT": "1000000",
}


def token_of(user: str, tenant: str = "default", *, secret: str = SECRET, **claims: Any) -> str:
    """A valid token of a user for ten minutes; a claim that is None is left out."""
    now = int(time.time())
    every = {
        "sub": user,
        "tenant": tenant,
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + 600,
        **claims,
    }
    stated = {name: value for name, value in every.items() if value is not None}
    return jwt.encode(stated, secret, "HS256")
