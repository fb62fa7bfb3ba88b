"""What the processes are told: categories, leases, logs, and whom to tell of trouble."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings

from tidings.runtime.environment.formats import Delays, Duration
from tidings.runtime.environment.reading import section


class CategorySettings(BaseModel):
    """What a category changes, whatever the channel."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    retry: Delays | None = None
    """Waits between attempts instead of the channel's."""
    expires_after: Duration | None = None
    """How long a notification without `expires_at` is worth delivering."""


class WorkerSettings(BaseSettings):
    """The processes."""

    model_config = section("TIDINGS_")

    categories: dict[str, CategorySettings] = Field(
        default_factory=lambda: {
            "otp": CategorySettings(retry="5s 15s 30s 1m", expires_after="10m"),
        }
    )
    """Overrides by category, as JSON: `{"otp": {"retry": "5s 15s", "expires_after": "10m"}}`."""
    templates_root: Path = Path("templates")
    """Folder of the message templates."""
    lease_margin: Duration = 30.0
    """How long a lease outlasts its send, for recording it through a slow database; after that, what
    a vanished worker was sending is taken over."""
    grace: Duration = 45.0
    """How long a process finishes what it has begun after SIGTERM."""
    buffer_mib: int = Field(default=64, ge=8, le=65_536)
    """MiB of messages that a process holds at once, of all its queues together; it takes twice as much,
    and 192 MiB for all else."""
    http_host: str = "127.0.0.1"
    """Where `/metrics`, `/healthz` and `/readyz` listen."""
    http_port: int | None = Field(default=None, ge=0, le=65535)
    """Their port; none where unset, a free one where 0."""
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    """`debug`, `info`, `warning` or `error`; each attempt is a line at `info`."""
    log_format: str = Field(default="auto", pattern="^(auto|json|console)$")
    """`json`, `console`, or `auto`: console on a terminal."""

    @property
    def buffer_bytes(self) -> int:
        """Bytes of messages that a process holds at once."""
        return self.buffer_mib * 1024 * 1024


class AlertSettings(BaseSettings):
    """Telling operators of dead letters, and of providers that are down."""

    model_config = section("TIDINGS_ALERT_")

    url: SecretStr = SecretStr("")
    """An Apprise URL, e.g. `slack://…` or `mailto://…`; nobody is told where empty."""
    channel: str = ""
    """Or one of our own channels, e.g. `email`…"""
    recipient: str = ""
    """… and whom to tell there."""
    every: Duration = 900.0
    """At most one message of each of the two in this time."""
