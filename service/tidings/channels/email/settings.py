"""Email's settings: which relay, and how."""

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
    """The relay; the channel is off where empty."""
    port: int = Field(default=587, ge=1, le=65535)
    """The relay's port: 587 or 25 for `starttls`, 465 for `implicit`."""
    tls: str = Field(default="starttls", pattern="^(none|starttls|implicit)$")
    """`starttls`, `implicit` (465) or `none` (a relay on this machine)."""
    ca_file: Path | None = None
    """Certificate authority of the relay, where the system's own don't know it."""
    username: str = ""
    """Login at the relay; none where empty."""
    password: SecretStr = SecretStr("")
    """Its password."""
    sender: str = ""
    """From address, e.g. `Example <no-reply@example.com>`."""
    helo: str = ""
    """Name to greet the relay with; this machine's where empty."""
    connections: int = Field(default=20, ge=1, le=500)
    """SMTP connections at most; where the relay takes fewer, so many."""
    messages_per_connection: int = Field(default=500, ge=1)
    """Messages after which a connection is renewed."""
    pipelining: bool = True
    """Whether commands go together to a relay that offers it (RFC 2920); `false` for one that offers it, and
    then loses some."""
    fallbacks: Fallbacks = ()
    """Names of further relays, in order of preference, e.g. `backup`: each with variables of its own, such
    as `TIDINGS_EMAIL_<NAME>_HOST`."""

    @property
    def own(self) -> frozenset[str]:
        """Every relay has its address and its login for itself: a password is not tried elsewhere."""
        return frozenset({"host", "port", "tls", "ca_file", "username", "password", "fallbacks"})

    def check_fallback(self, name: str) -> None:
        """It needs a relay, and no sender: Message-ID is made of the sender, and must not change with the relay."""
        prefix = prefix_of("email", name)
        if not self.host:
            raise ConfigurationError(
                f"{prefix}HOST: set it, or take {name} out of TIDINGS_EMAIL_FALLBACKS"
            )
        if self.sender:
            raise ConfigurationError(
                f"{prefix}SENDER: unset it; mail comes from TIDINGS_EMAIL_SENDER, whoever carries it"
            )
