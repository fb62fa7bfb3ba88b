"""Verifies ID tokens: signature, issuer, audience, time and nonce (OpenID Connect Core 1.0, 3.1.3.7)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import JWKRegistry, KeySet
from joserfc.jws import JWSRegistry

from tidings.console.openid.documents import Unreadable

log = structlog.get_logger(__name__)

ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512"),
)
"""What we take, if the provider says that it uses it. No `none`, and none with a shared secret: a public key would do as
one (RFC 8725, 2.1)."""
LEEWAY: Final = 60
"""Seconds by which the provider's clock may differ from ours."""
LONGEST: Final = 32 * 1024
"""Characters of a token."""


class BadIdToken(Exception):
    """An ID token proves nothing; says why, for the log."""


class UnknownKey(BadIdToken):
    """It is signed with a key that is not known here, and may be new."""


class TokenKeys:
    """The public keys of a provider."""

    def __init__(self, keys: KeySet) -> None:
        self.keys: Final = keys

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "TokenKeys":
        """Those of a JWK set that sign; what can't be used is left out (RFC 7517, 5).

        Raises:
            Unreadable: It is none, or has no key.
        """
        listed = document.get("keys")
        if not isinstance(listed, list):
            raise Unreadable("what should be a JWK set is none")
        keys = [key for entry in listed if (key := _key(entry)) is not None]
        if not keys:
            raise Unreadable("its JWK set has no key that can be used")
        return cls(KeySet(keys))


def _key(entry: Any) -> Any:
    match entry:
        case {"kty": "RSA" | "EC", **rest} if rest.get("use", "sig") == "sig":
            try:
                return JWKRegistry.import_key(entry)
            except (JoseError, ValueError, TypeError) as error:
                log.warning("key of the OpenID provider can't be used", error=type(error).__name__)
    return None


def verified(
    token: str,
    keys: TokenKeys,
    *,
    algorithms: Sequence[str],
    issuer: str,
    client_id: str,
    nonce: str,
    access_token: str | None,
) -> Mapping[str, Any]:
    """The claims of an ID token.

    Args:
        token: As the provider gave it, at its token endpoint.
        keys: The provider's.
        algorithms: What it may be signed with.
        issuer: It must name exactly this one.
        client_id: It must be meant for this client.
        nonce: It must answer this sign-in.
        access_token: What came with it, whose hash it may name.

    Raises:
        UnknownKey: It is signed with a key that is not among these.
        BadIdToken: It proves nothing; says why.
    """
    if len(token) > LONGEST:
        raise BadIdToken("it is too long")
    options: dict[str, Any] = {
        "iss": {"essential": True, "value": issuer},
        "aud": {"essential": True, "value": client_id},
        "sub": {"essential": True},
        "exp": {"essential": True},
        "nonce": {"essential": True, "value": nonce},
    }
    try:
        registry = JWSRegistry(algorithms=list(algorithms), strict_check_header=False)
        read = jwt.decode(token, keys.keys, registry=registry)
        claims = CodeIDToken(
            read.claims,
            read.header,
            options,
            {"nonce": nonce, "client_id": client_id, "access_token": access_token},
        )
        claims.validate(leeway=LEEWAY)
    except InvalidKeyIdError as error:
        raise UnknownKey(str(error)) from None
    except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadIdToken(f"{type(error).__name__}: {error}") from None
    return dict(claims)
