"""Settings of the console."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings

from tidings.delivery.errors import ConfigurationError
from tidings.runtime.environment.formats import Duration, Words, is_url
from tidings.runtime.environment.reading import section

Role = Literal["viewer", "support", "operator", "admin"]
_OWN_NAMES: Final[Mapping[str, Role]] = MappingProxyType(
    {"viewer": "viewer", "support": "support", "operator": "operator", "admin": "admin"}
)


def _url(url: str) -> str:
    if url and not is_url(url, "https", "http"):
        raise ValueError("write the console's URL as browsers see it: https://tidings.example.com")
    return url.rstrip("/")


def _issuer(url: str) -> str:
    parts = urlsplit(url)
    on_this_machine = parts.hostname in {"localhost", "127.0.0.1", "::1"}
    usable = is_url(url, "https") or (on_this_machine and is_url(url, "http"))
    if url and not (usable and not parts.query and not parts.fragment):
        raise ValueError(
            "write the issuer's https:// URL, such as https://login.example.com/realms/staff"
        )
    return url


class ConsoleSettings(BaseSettings):
    """The console."""

    model_config = section("TIDINGS_CONSOLE_")

    enabled: bool = True
    """Whether the role `api` serves the console, below `/console`."""
    url: Annotated[str, AfterValidator(_url)] = ""
    """URL of the service as browsers see it, e.g. `https://tidings.example.com`: alerts link to it, and if it begins with
    `https` cookies are sent over TLS only."""
    session: Duration = 12 * 3600.0
    """How long a session lasts."""
    idle: Duration = 3600.0
    """How long a session lasts while its person does nothing; a page that updates itself is nothing."""
    api_keys: bool = True
    """Whether people may sign in with an API key; `false`: by OpenID Connect only."""
    oidc_issuer: Annotated[str, AfterValidator(_issuer)] = ""
    """Issuer of an OpenID provider at which people may sign in, e.g. `https://login.example.com/realms/staff`: what its
    `/.well-known/openid-configuration` calls `issuer`. Register `TIDINGS_CONSOLE_URL` + `/console/sign-in/openid/callback`
    there. Nobody signs in by OpenID Connect if empty."""
    oidc_client_id: str = ""
    """Id of this client there."""
    oidc_client_secret: SecretStr = SecretStr("")
    """Its secret; empty for a public client, which PKCE protects."""
    oidc_scopes: Words = ("openid", "profile", "email")
    """Scopes to ask for; one of them is `openid`."""
    oidc_name: str = "single sign-on"
    """Name of the provider, on the button *Sign in with …*."""
    oidc_name_claim: str = "preferred_username"
    """Claim that names a person in the audit trail; without it the claim `sub` does. A mark such as `#1f3a9c02` is added, which
    stands for issuer and `sub`: names can be shared, changed and chosen."""
    oidc_roles_claim: str = "roles"
    """Claim with a person's roles or groups, a string or a list; inside another claim: `realm_access.roles`."""
    oidc_roles: dict[str, Role] = Field(default_factory=lambda: dict(_OWN_NAMES))
    """Which value of that claim gives which role, as JSON: `{"tidings-admins": "admin", "on-call": "operator"}`. The highest
    counts; who has none may not sign in."""
    oidc_tenant_claim: str = ""
    """Claim that names a person's tenant, `*` for all; if empty, people who sign in by OpenID Connect see all tenants."""

    def check(self) -> None:
        """Check what several of them say together.

        Raises:
            ConfigurationError: Nobody could sign in; names the variable to set.
        """
        if not self.oidc_issuer:
            if not self.api_keys:
                raise ConfigurationError(
                    "nobody could sign in to the console: set TIDINGS_CONSOLE_OIDC_ISSUER, or leave TIDINGS_CONSOLE_API_KEYS "
                    "at true"
                )
            return
        for name, value in (("URL", self.url), ("OIDC_CLIENT_ID", self.oidc_client_id)):
            if not value:
                raise ConfigurationError(
                    f"TIDINGS_CONSOLE_OIDC_ISSUER is set: set TIDINGS_CONSOLE_{name} too"
                )
        if "openid" not in self.oidc_scopes:
            raise ConfigurationError("TIDINGS_CONSOLE_OIDC_SCOPES: one of them must be openid")
