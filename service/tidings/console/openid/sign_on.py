"""The way to the provider and back: authorization code with PKCE, bound to the browser that began it."""

import hmac
import secrets
from collections.abc import Mapping
from typing import Any, Final

import structlog
from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from tidings.console.openid.attempt import CALLBACK, LoginAttempt
from tidings.console.openid.errors import SignInFailed
from tidings.console.openid.id_tokens import BadIdToken, UnknownKey, verified
from tidings.console.openid.identity import Identity, identity_of, missing
from tidings.console.openid.provider import OpenIdProvider
from tidings.console.page import ROOT
from tidings.settings import ConsoleSettings

log = structlog.get_logger(__name__)

TOKEN_BYTES: Final = 32


class SingleSignOn:
    """Signs people in at the provider of the settings."""

    def __init__(self, settings: ConsoleSettings) -> None:
        self._settings = settings
        self._provider = OpenIdProvider(settings)

    @property
    def name(self) -> str:
        """The provider's, for people."""
        return self._settings.oidc_name

    @property
    def sign_out_url(self) -> str:
        """Where a person signs out at the provider too (OpenID Connect RP-Initiated Logout 1.0); empty if it has no such page."""
        known = self._provider.known
        if known is None or not known.end_session_endpoint:
            return ""
        back = {
            "client_id": self._settings.oidc_client_id,
            "post_logout_redirect_uri": f"{self._settings.url}{ROOT}/sign-in",
        }
        return str(add_params_to_uri(known.end_session_endpoint, list(back.items())))

    async def begin(self, next_: str) -> tuple[str, LoginAttempt]:
        """The provider's page to go to, and the attempt that the browser must keep.

        Raises:
            ProviderUnavailable: It does not answer.
        """
        metadata = await self._provider.metadata()
        state, nonce, verifier = (secrets.token_urlsafe(TOKEN_BYTES) for _ in range(3))
        url = prepare_grant_uri(
            metadata.authorization_endpoint,
            client_id=self._settings.oidc_client_id,
            response_type="code",
            redirect_uri=self._redirect_uri,
            scope=" ".join(self._settings.oidc_scopes),
            state=state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
        )
        return str(url), LoginAttempt(state, nonce, verifier, next_)

    async def finish(self, attempt: LoginAttempt | None, query: Mapping[str, str]) -> Identity:
        """Who came back from the provider.

        Args:
            attempt: What the browser kept.
            query: What the provider sent with it.

        Raises:
            SignInFailed: Nobody was signed in; says why.
            ProviderUnavailable: The provider does not answer.
        """
        given = query.get("state", "")
        if attempt is None or not hmac.compare_digest(given.encode(), attempt.state.encode()):
            raise SignInFailed(
                "This sign-in was not begun in this browser, or longer than ten minutes ago, or in another tab since. Sign in "
                "again."
            )
        metadata = await self._provider.metadata()
        issuer = query.get("iss")
        if (issuer is None and metadata.names_itself) or issuer not in {None, metadata.issuer}:
            log.warning("answer of another OpenID provider refused", issuer=issuer)
            raise SignInFailed("This answer is of another provider. Sign in again.")
        if "error" in query:
            raise self._refused(query["error"])
        if not query.get("code"):
            raise SignInFailed(f"{self.name} sent you back without an answer. Sign in again.")
        tokens = await self._provider.exchange(query["code"], attempt.verifier, self._redirect_uri)
        claims = await self._claims(tokens, attempt.nonce)
        if missing(claims, self._settings) and metadata.userinfo_endpoint:
            claims = await self._with_userinfo(claims, tokens)
        return identity_of(claims, self._settings)

    @property
    def _redirect_uri(self) -> str:
        return f"{self._settings.url}{ROOT}{CALLBACK}"

    async def _claims(self, tokens: Mapping[str, Any], nonce: str) -> Mapping[str, Any]:
        try:
            try:
                return await self._verified(tokens, nonce, again=False)
            except UnknownKey:
                return await self._verified(tokens, nonce, again=True)
        except BadIdToken as fault:
            log.warning("ID token refused", error=str(fault))
            raise SignInFailed(
                f"What {self.name} sent does not prove who you are. Sign in again; the reason is in the log."
            ) from None

    async def _verified(
        self, tokens: Mapping[str, Any], nonce: str, *, again: bool
    ) -> Mapping[str, Any]:
        metadata = await self._provider.metadata()
        access_token = tokens.get("access_token")
        return verified(
            tokens["id_token"],
            await self._provider.keys(again=again),
            algorithms=metadata.algorithms,
            issuer=metadata.issuer,
            client_id=self._settings.oidc_client_id,
            nonce=nonce,
            access_token=access_token if isinstance(access_token, str) else None,
        )

    async def _with_userinfo(
        self, claims: Mapping[str, Any], tokens: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Providers may put claims there and not into the ID token, whose own go before."""
        access_token = tokens.get("access_token")
        if not isinstance(access_token, str):
            return claims
        more = await self._provider.userinfo(access_token)
        if more.get("sub") != claims["sub"]:  # OpenID Connect Core 1.0, 5.3.2
            log.warning("userinfo of somebody else refused")
            raise SignInFailed(f"What {self.name} sent does not prove who you are. Sign in again.")
        return {**more, **claims}

    def _refused(self, error: str) -> SignInFailed:
        if error == "access_denied":
            return SignInFailed(f"{self.name} did not let you in, or you cancelled there.")
        log.warning("OpenID provider refused a sign-in", error=error[:200])
        return SignInFailed(f"{self.name} refused this sign-in. The reason is in the log.")
