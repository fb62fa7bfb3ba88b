"""Tokens of end users, signed on a machine that has the secret: to try an inbox as a user has it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import jwt

from tidings.delivery.errors import ConfigurationError, InvalidRequest
from tidings.operations.filters import tenant as tenant_name
from tidings.settings import ApiSettings
from tidings_events import DEFAULT_TENANT

SHORTEST_SECRET: Final = 32
"""Bytes: as many as the hash has (RFC 7518, 3.2)."""
LONGEST_SUBJECT: Final = 255
LIFETIME: Final = timedelta(hours=1)
WEAK: Final = f"TIDINGS_API_JWT_SECRET: write at least {SHORTEST_SECRET} bytes, e.g. of `openssl rand -base64 48`"


@dataclass(frozen=True, slots=True)
class SignTokenRequest:
    """Whose token it is to be."""

    user: str
    """The user's id: `recipient` of what is sent to the channel `in_app`."""
    tenant: str = DEFAULT_TENANT
    expires_at: datetime | None = None
    """In an hour if None."""


@dataclass(frozen=True, slots=True)
class SignedTokenView:
    """A token, and what it says."""

    token: str
    user: str
    tenant: str
    expires_at: datetime


def sign(settings: ApiSettings, request: SignTokenRequest) -> SignedTokenView:
    """A token that an API with these settings accepts. No server is asked.

    Raises:
        ConfigurationError: There is no secret, it is too short, or issuer or audience is missing; names the variable.
        InvalidRequest: User, tenant or expiry is wrong; says which.
    """
    secret = _secret(settings)
    now = datetime.now(UTC)
    expires_at = request.expires_at or now + LIFETIME
    _check(request, expires_at, now)
    claims: dict[str, Any] = {
        settings.jwt_tenant_claim: request.tenant,
        "sub": request.user,
        "iss": settings.jwt_issuer,
        "aud": settings.jwt_audience,
        "iat": int(now.timestamp()),
        "exp": int(expires_at.timestamp()),
    }
    token = jwt.encode(claims, secret, "HS256")
    whole = datetime.fromtimestamp(claims["exp"], UTC)
    return SignedTokenView(token, request.user, request.tenant, whole)


def _secret(settings: ApiSettings) -> bytes:
    secret = settings.jwt_secret.get_secret_value().encode()
    if not secret:
        if settings.jwt_public_key or settings.jwt_keys_url:
            raise ConfigurationError(
                "there is only a public key here, which verifies tokens and signs none: ask the login that issues them"
            )
        raise ConfigurationError(
            "TIDINGS_API_JWT_SECRET is not set: it signs the tokens, and the API must have the same"
        )
    if len(secret) < SHORTEST_SECRET:
        raise ConfigurationError(WEAK)
    for name, value in (("ISSUER", settings.jwt_issuer), ("AUDIENCE", settings.jwt_audience)):
        if not value:
            raise ConfigurationError(
                f"TIDINGS_API_JWT_{name} is not set: a token must name it, and the API must have the same"
            )
    return secret


def _check(request: SignTokenRequest, expires_at: datetime, now: datetime) -> None:
    if not 0 < len(request.user) <= LONGEST_SUBJECT or not request.user.isprintable():
        raise InvalidRequest(f"write 1 to {LONGEST_SUBJECT} printable characters", field="user")
    try:
        tenant_name(request.tenant)
    except ValueError as error:
        raise InvalidRequest(str(error), field="tenant") from None
    if expires_at <= now:
        raise InvalidRequest("it lies in the past", field="expires")
