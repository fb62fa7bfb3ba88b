"""Settings of email: the SMTP relay."""

from pathlib import Path

from pydantic import Field, SecretStr

from tidings.channels.fallbacks import Fallbacks, prefix_of
from tidings.channels.settings import ChannelSettings
from tidings.delivery.errors import ConfigurationError
from tidings.runtime.environment.reading import section


class EmailSettings(ChannelSettings):
    """Email through an SMTP relay."""

    model_config = section("TIDINGS_EMAIL_")

    host: str = ""
    """The relay's host name; the channel is off if empty."""
    port: int = Field(default=587, ge=1, le=65535)
    """The relay's port: 587 or 25 for `starttls`, 465 for `implicit`."""
    tls: str = Field(default="starttls", pattern="^(none|starttls|implicit)$")
    """`starttls`, `implicit` (465), or `none` for a relay on this machine."""
    ca_file: Path | None = None
    """Certificate authority of the relay, if the system does not trust it."""
    username: str = ""
    """User name at the relay; no login if empty."""
    password: SecretStr = SecretStr("")
    """Password at the relay."""
    sender: str = ""
    """From address, e.g. `Example <no-reply@example.com>`."""
    helo: str = ""
    """EHLO name; this machine's host name if empty."""
    connections: int = Field(default=20, ge=1, le=500)
    """SMTP connections at most; fewer if the relay accepts fewer."""
    messages_per_connection: int = Field(default=500, ge=1)
    """Messages after which a connection is renewed."""
    pipelining: bool = True
    """Whether to pipeline commands if the relay offers it (RFC 2920); `false` for a relay that offers it and
    loses commands."""
    fallbacks: Fallbacks = ()
    """Names of further relays, in order of preference, e.g. `backup`: each with variables of its own, such
    as `TIDINGS_EMAIL_<NAME>_HOST`."""

    @property
    def recorded_as(self) -> str:
        """The name of this relay in attempts."""
        return f"smtp:{self.host}"

    @property
    def own(self) -> frozenset[str]:
        """Every relay has its own address and login: a password is never sent to another relay."""
        return frozenset({"host", "port", "tls", "ca_file", "username", "password", "fallbacks"})

    def check_fallback(self, name: str) -> None:
        """It needs a host, and no sender: Message-ID contains the sender's domain and must be the same at every relay."""
        prefix = prefix_of("email", name)
        if not self.host:
            raise ConfigurationError(
                f"{prefix}HOST: set it, or take {name} out of TIDINGS_EMAIL_FALLBACKS"
            )
        if self.sender:
            raise ConfigurationError(
                f"{prefix}SENDER: unset it; all relays send mail from TIDINGS_EMAIL_SENDER"
            )
