"""JSON Web Tokens (RFC 7519) of an application's end users: subject and tenant, and nothing else."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import jwt
import structlog
from jwt.exceptions import InvalidTokenError, PyJWKError, PyJWTError
from jwt.types import Options

from tidings.api.key_sets import KeySetUnavailable, RemoteKeySet
from tidings.api.principal import EndUser
from tidings.api.problems import UNAUTHENTICATED, ApiProblem, unavailable
from tidings.delivery.errors import ConfigurationError
from tidings.operations.filters import tenant as tenant_name
from tidings.operations.user_tokens import LONGEST_SUBJECT, SHORTEST_SECRET, WEAK
from tidings.settings import ApiSettings
from tidings_events import DEFAULT_TENANT

log = structlog.get_logger(__name__)

LONGEST: Final = 8 * 1024
"""Characters of a token."""
LEEWAY: Final = 30.0
"""Seconds by which the issuer's clock may differ from ours."""
CHALLENGE: Final = 'Bearer realm="tidings", error="invalid_token"'
"""RFC 6750, 3."""
FIRST: Final = datetime.min.replace(tzinfo=UTC)
LAST: Final = datetime.max.replace(tzinfo=UTC)
ALGORITHMS: Final = frozenset({"HS256", "RS256", "ES256"})
OPTIONS: Final[Options] = {
    "require": ["exp", "sub", "iss", "aud"],
    "enforce_minimum_key_length": True,
}


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A key with the one algorithm that it is used with.

    What the token itself names as its algorithm chooses nothing: otherwise anybody could sign with HS256 and a public
    key as the secret (RFC 8725, 2.1).
    """

    algorithm: str
    key: Any


class UserTokens:
    """Verifies tokens as the settings say.

    Args:
        settings: Which keys, issuer and audience.

    Raises:
        ConfigurationError: A key is too weak or unusable, or issuer or audience is missing; names the variable.
    """

    def __init__(self, settings: ApiSettings) -> None:
        self._settings = settings
        self._by_algorithm = {key.algorithm: key for key in _stated(settings)}
        self._remote: RemoteKeySet[VerifyingKey] | None = None
        if settings.jwt_keys_url:
            self._remote = RemoteKeySet(settings.jwt_keys_url, parsed, kept=settings.keys_kept)
        if self.accepted and not (settings.jwt_issuer and settings.jwt_audience):
            # A token of any issuer, or for anybody else, must not count here.
            raise ConfigurationError(
                "tokens have a key: set TIDINGS_API_JWT_ISSUER and TIDINGS_API_JWT_AUDIENCE too"
            )

    @property
    def accepted(self) -> bool:
        """Whether any token can be valid here."""
        return bool(self._by_algorithm) or self._remote is not None

    async def verify(self, token: str) -> EndUser:
        """The user that a token names.

        Raises:
            ApiProblem: It is not valid, or its key can't be looked up just now.
        """
        if len(token) > LONGEST:
            raise _refused("this token is too long")
        try:
            key = await self._key_of(jwt.get_unverified_header(token))
            claims = jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm],
                issuer=self._settings.jwt_issuer,
                audience=self._settings.jwt_audience,
                leeway=LEEWAY,
                options=OPTIONS,
            )
        except jwt.ExpiredSignatureError:
            raise _refused("this token has expired") from None
        except (jwt.InvalidAudienceError, jwt.InvalidIssuerError) as error:
            raise _refused(f"this token is not meant for here: {error}") from None
        except PyJWTError as error:
            log.info("token refused", error=type(error).__name__)
            raise _refused("this token is not valid") from None
        except KeySetUnavailable:
            raise unavailable("tokens can't be checked: their key set is unavailable") from None
        return _user(claims, self._settings.jwt_tenant_claim)

    async def _key_of(self, header: Mapping[str, Any]) -> VerifyingKey:
        algorithm, id_ = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS:
            raise InvalidTokenError("algorithm")
        if (key := self._by_algorithm.get(algorithm)) is not None:
            return key
        if self._remote is None or not isinstance(id_, str) or not id_:
            raise InvalidTokenError("no key")
        key = await self._remote.find(id_)
        if key is None or key.algorithm != algorithm:
            raise InvalidTokenError("no such key")
        return key


def parsed(document: object) -> Mapping[str, VerifyingKey]:
    """The usable keys of a JWK set by their ids; others are left out, as RFC 7517, 5 says.

    Raises:
        ValueError: It is no JWK set.
    """
    keys = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list):
        raise ValueError("it is no JWK set")  # noqa: TRY004  # of a document, not an argument
    return {id_: key for entry in keys for id_, key in _usable(entry)}


def _usable(entry: Any) -> Iterator[tuple[str, VerifyingKey]]:
    match entry:
        case {"kty": "RSA", "kid": str(id_)}:
            algorithm = "RS256"
        case {"kty": "EC", "crv": "P-256", "kid": str(id_)}:
            algorithm = "ES256"
        case _:  # a symmetric key that can be read at a URL is no secret
            return
    if entry.get("use", "sig") != "sig" or entry.get("alg", algorithm) != algorithm:
        return
    try:
        yield id_, VerifyingKey(algorithm, jwt.PyJWK(entry, algorithm).key)
    except (PyJWKError, PyJWTError, ValueError) as error:
        log.warning("key of a key set can't be used", key=id_, error=str(type(error).__name__))


def _stated(settings: ApiSettings) -> Iterator[VerifyingKey]:
    if secret := settings.jwt_secret.get_secret_value():
        if len(secret.encode()) < SHORTEST_SECRET:
            raise ConfigurationError(WEAK)
        yield VerifyingKey("HS256", secret.encode())
    if settings.jwt_public_key:
        yield _public(settings.jwt_public_key)


def _public(pem: str) -> VerifyingKey:
    for algorithm in ("RS256", "ES256"):
        try:
            return VerifyingKey(algorithm, jwt.get_algorithm_by_name(algorithm).prepare_key(pem))
        except (PyJWTError, ValueError, TypeError):
            continue
    raise ConfigurationError(
        "TIDINGS_API_JWT_PUBLIC_KEY is no public key in PEM, of RSA or of the curve P-256"
    )


def _user(claims: Mapping[str, Any], tenant_claim: str) -> EndUser:
    subject, tenant = claims["sub"], claims.get(tenant_claim, DEFAULT_TENANT)
    if not 0 < len(subject) <= LONGEST_SUBJECT or not subject.isprintable():
        raise _refused(
            f"the subject of this token must have 1 to {LONGEST_SUBJECT} printable characters"
        )
    issued = claims.get("iat")
    try:
        return EndUser(
            subject,
            tenant_name(tenant),
            None if issued is None else _moment(issued),
            _moment(claims["exp"]),
        )
    except (ValueError, TypeError):
        raise _refused(f"the claim `{tenant_claim}` of this token is not a tenant") from None


def _moment(seconds: Any) -> datetime:
    """A NumericDate (RFC 7519, 2) that has been verified to be a number; a time beyond the calendar is its end."""
    try:
        return datetime.fromtimestamp(float(seconds), UTC)
    except (OverflowError, ValueError, OSError):
        return LAST if float(seconds) > 0 else FIRST


def _refused(detail: str) -> ApiProblem:
    return ApiProblem(UNAUTHENTICATED, detail, headers={"WWW-Authenticate": CHALLENGE})
