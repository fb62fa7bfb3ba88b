"""Settings of the HTTP API."""

import re
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings

from tidings.runtime.environment.formats import Duration, Rate, Words, is_url
from tidings.runtime.environment.reading import section

_ORIGIN: Final = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:\d{1,5})?")
"""As browsers write it (RFC 6454, 6.2); names with other letters in their ASCII form."""
_ADDRESS: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:\s]+):(\d{1,5})")


def _address(text: str) -> str:
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found[2]) > 65_535:
        raise ValueError("write it like 127.0.0.1:8000, 0.0.0.0:8000 or [::]:8000")
    return text


def _origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    for origin in origins:
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise ValueError(
                f"{origin!r} is no origin: write it like https://app.example.com or http://localhost:5173, in lower case and "
                "without a path"
            )
    if "*" in origins and len(origins) > 1:
        raise ValueError("`*` means all: leave out the others")
    return origins


def _https(url: str) -> str:
    parts = urlsplit(url)
    on_this_machine = parts.hostname in {"localhost", "127.0.0.1", "::1"}
    if url and not (is_url(url, "https") or (on_this_machine and is_url(url, "http"))):
        raise ValueError("write an https:// URL: whoever can change its reply can sign tokens")
    return url


class ApiSettings(BaseSettings):
    """The HTTP API."""

    model_config = section("TIDINGS_API_")

    # Not HOST and PORT: Kubernetes sets TIDINGS_API_PORT in every pod, for a service called `tidings-api`.
    listen: Annotated[str, AfterValidator(_address)] = "127.0.0.1:8000"
    """Address and port to listen on, e.g. `0.0.0.0:8000`; a free port if 0. Without TLS: put a proxy before it that
    has TLS."""
    rate_limit: Rate = 5000.0
    """Most requests of one key in one process; more are answered with 429."""
    user_rate_limit: Rate = 50.0
    """Most requests of one end user in one process; more are answered with 429."""
    origins: Annotated[Words, AfterValidator(_origins)] = ()
    """Origins of the pages that may use inboxes from a browser (CORS), e.g. `https://app.example.com`; `*`: of all. Nothing
    is allowed by cookies: a page sends its user's token."""
    max_body_mib: int = Field(default=16, ge=1, le=1024)
    """MiB of one request's body, at most."""
    max_bodies_mib: int = Field(default=128, ge=1, le=65_536)
    """MiB of the bodies of all requests in progress in one process, at most, and enough for one of
    `TIDINGS_API_MAX_BODY_MIB` in any case; more are answered with 503."""
    max_requests: int = Field(default=1000, ge=1)
    """Requests in progress in one process, at most; more are answered with 503."""
    live_connections: int = Field(default=10_000, ge=1)
    """Live connections to inboxes in one process, at most; more are closed with 1013. Plan 40 KiB of memory and one open
    file for each."""
    live_connections_of_user: int = Field(default=20, ge=1)
    """The same of one user, who may have several devices; more are closed with 4429."""
    keys_kept: Duration = 4 * 3600.0
    """How long API keys go on working from memory while PostgreSQL is unavailable, and keys of tokens while their URL
    does not answer."""
    jwt_secret: SecretStr = SecretStr("")
    """Secret of end users' tokens (JWT) that are signed with HS256: at least 32 bytes."""
    jwt_public_key: str = ""
    """Public key, in PEM, of tokens that are signed with RS256 or ES256."""
    jwt_keys_url: Annotated[str, AfterValidator(_https)] = ""
    """URL of the JWK set of tokens that are signed with RS256 or ES256, e.g. `https://login.example.com/jwks.json`."""
    jwt_issuer: str = ""
    """Issuer that tokens must name (`iss`); needed if there is a key for tokens."""
    jwt_audience: str = ""
    """Audience that tokens must name (`aud`); needed likewise."""
    jwt_tenant_claim: str = "tenant"
    """Claim of tokens with their user's tenant; without it the tenant is `default`."""

    @property
    def host(self) -> str:
        """The address to listen on."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """Its port; 0: a free one."""
        return int(self.listen.rpartition(":")[2])

    @property
    def max_body_bytes(self) -> int:
        """Bytes of one body, at most."""
        return self.max_body_mib * 1024 * 1024

    @property
    def max_bodies_bytes(self) -> int:
        """Bytes of the bodies of all requests in progress, at most."""
        return max(self.max_bodies_mib, self.max_body_mib) * 1024 * 1024
