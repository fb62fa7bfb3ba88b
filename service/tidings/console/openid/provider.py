"""The OpenID provider: what it says of itself, its keys, and the exchange of a code for tokens."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlsplit

import structlog
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_token_request

from tidings.console.openid.documents import KeptDocument, ProviderReply, Unreadable, ask
from tidings.console.openid.errors import ProviderUnavailable, SignInFailed
from tidings.console.openid.id_tokens import ALGORITHMS, TokenKeys
from tidings.settings import ConsoleSettings

log = structlog.get_logger(__name__)

WELL_KNOWN: Final = "/.well-known/openid-configuration"
METADATA_FRESH: Final = 3600.0
KEYS_FRESH: Final = 300.0
"""Seconds after which keys are read again: one that the provider withdrew counts no longer than that."""
FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True, slots=True)
class ProviderMetadata:
    """What a provider says of itself (OpenID Connect Discovery 1.0, 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str
    end_session_endpoint: str
    algorithms: tuple[str, ...]
    """Of its ID tokens, so far as we take them."""
    secret_in_body: bool
    """Whether it takes a client's secret in the form only."""
    names_itself: bool
    """Whether its answers to the browser name it (RFC 9207)."""


class OpenIdProvider:
    """The provider of the settings."""

    def __init__(self, settings: ConsoleSettings) -> None:
        self._settings = settings
        self._metadata = KeptDocument(self._read_metadata, METADATA_FRESH)
        self._keys = KeptDocument(self._read_keys, KEYS_FRESH)

    @property
    def known(self) -> ProviderMetadata | None:
        """What it said of itself last; None if it was never asked."""
        return self._metadata.last

    async def metadata(self) -> ProviderMetadata:
        """What it says of itself. Raises ProviderUnavailable."""
        try:
            return await self._metadata.get()
        except Unreadable as fault:
            raise self._unavailable(fault) from None

    async def keys(self, *, again: bool = False) -> TokenKeys:
        """Its keys.

        Args:
            again: Whether those that are known lack one.

        Raises:
            ProviderUnavailable: They can't be read.
        """
        try:
            return await self._keys.get(again=again)
        except Unreadable as fault:
            raise self._unavailable(fault) from None

    async def exchange(self, code: str, verifier: str, redirect_uri: str) -> Mapping[str, Any]:
        """The tokens for a code.

        Raises:
            SignInFailed: The provider refuses.
            ProviderUnavailable: It does not answer.
        """
        metadata = await self.metadata()
        url, headers, body = self._client(metadata).prepare(
            "POST",
            metadata.token_endpoint,
            {**FORM},
            prepare_token_request(
                "authorization_code", redirect_uri=redirect_uri, code=code, code_verifier=verifier
            ),
        )
        try:
            reply = await ask("POST", url, headers=headers, body=body)
        except Unreadable as fault:
            raise self._unavailable(fault) from None
        match reply:
            case ProviderReply(200, {"id_token": str()} as tokens):
                return tokens  # type: ignore[no-any-return]  # its keys are strings: it is JSON
            case ProviderReply(_, {"error": "invalid_grant"}):
                raise SignInFailed("This sign-in took too long or was used already. Sign in again.")
            case ProviderReply(status, {"error": str(error)}):
                log.error("OpenID provider refused a code", status=status, error=error[:200])
            case ProviderReply(status):
                log.error("OpenID provider answered a code with no ID token", status=status)
        raise ProviderUnavailable(self._settings.oidc_name)

    async def userinfo(self, access_token: str) -> Mapping[str, Any]:
        """What it says of a person, beside the ID token. Raises ProviderUnavailable."""
        metadata = await self.metadata()
        try:
            reply = await ask(
                "GET",
                metadata.userinfo_endpoint,
                headers={"Authorization": f"Bearer {access_token}"},
            )
        except Unreadable as fault:
            raise self._unavailable(fault) from None
        if reply.status != 200 or not isinstance(reply.data, dict):
            raise self._unavailable(Unreadable(f"userinfo answered {reply.status}"))
        return reply.data

    def _client(self, metadata: ProviderMetadata) -> ClientAuth:
        id_, secret = self._settings.oidc_client_id, self._settings.oidc_client_secret
        hidden = secret.get_secret_value()
        if not hidden:
            return ClientAuth(id_, None, "none")
        if metadata.secret_in_body:
            return ClientAuth(id_, hidden, "client_secret_post")
        # Both are form-encoded before they are joined (RFC 6749, 2.3.1), which Authlib leaves to us.
        return ClientAuth(quote(id_, safe=""), quote(hidden, safe=""), "client_secret_basic")

    async def _read_metadata(self) -> ProviderMetadata:
        issuer = self._settings.oidc_issuer
        data = await _document(issuer.rstrip("/") + WELL_KNOWN)
        if str(data.get("issuer")).rstrip("/") != issuer.rstrip("/"):
            raise Unreadable(f"{issuer} calls itself {str(data.get('issuer'))[:200]!r}")
        only_tls = urlsplit(issuer).scheme == "https"

        def address(name: str, *, needed: bool = True) -> str:
            url = data.get(name)
            if url is None and not needed:
                return ""
            if not isinstance(url, str) or not _is_safe(url, only_tls=only_tls):
                raise Unreadable(f"{issuer} names no usable {name}")
            return url

        signed = data.get("id_token_signing_alg_values_supported", ["RS256"])
        methods = data.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        return ProviderMetadata(
            str(data["issuer"]),
            address("authorization_endpoint"),
            address("token_endpoint"),
            address("jwks_uri"),
            address("userinfo_endpoint", needed=False),
            address("end_session_endpoint", needed=False),
            tuple(each for each in ALGORITHMS if isinstance(signed, list) and each in signed),
            isinstance(methods, list) and "client_secret_basic" not in methods,
            data.get("authorization_response_iss_parameter_supported") is True,
        )

    async def _read_keys(self) -> TokenKeys:
        metadata = await self._metadata.get()
        return TokenKeys.of(await _document(metadata.jwks_uri))

    def _unavailable(self, fault: Unreadable) -> ProviderUnavailable:
        log.warning("OpenID provider can't be used", error=str(fault))
        return ProviderUnavailable(self._settings.oidc_name)


async def _document(url: str) -> Mapping[str, Any]:
    reply = await ask("GET", url)
    if reply.status != 200 or not isinstance(reply.data, dict):
        raise Unreadable(f"{url} answered {reply.status}")
    return reply.data


def _is_safe(url: str, *, only_tls: bool) -> bool:
    parts = urlsplit(url)
    return bool(parts.hostname) and parts.scheme in ({"https"} if only_tls else {"https", "http"})
