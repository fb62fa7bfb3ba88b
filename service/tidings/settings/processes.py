"""Settings of the processes: categories, leases, memory, logs, alerts."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings

from tidings.runtime.environment.formats import Delays, Duration
from tidings.runtime.environment.reading import section


class CategorySettings(BaseModel):
    """Overrides of a category, on every channel."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    retry: Delays | None = None
    """Waits between attempts, instead of the channel's."""
    expires_after: Duration | None = None
    """Time after which a notification without `expires_at` expires."""
    target: Duration | None = None
    """Time within which 95 of 100 should be sent: the console says if they are not. It changes nothing else."""


class WorkerSettings(BaseSettings):
    """The processes."""

    model_config = section("TIDINGS_")

    categories: dict[str, CategorySettings] = Field(
        default_factory=lambda: {
            "otp": CategorySettings(retry="5s 15s 30s 1m", expires_after="10m"),
        }
    )
    """Overrides by category, as JSON: `{"otp": {"retry": "5s 15s", "expires_after": "10m", "target": "10s"}}`. The
    `target` is the time within which 95 of 100 should be sent; the console's overview says if they are not."""
    templates_root: Path = Path("templates")
    """Folder of the message templates."""
    lease_margin: Duration = 30.0
    """How long a lease outlasts the time limit of its send, so that a slow database can record it. After that,
    another worker takes over a notification whose worker stopped."""
    grace: Duration = 45.0
    """Time to finish work in progress after SIGTERM."""
    buffer_mib: int = Field(default=64, ge=8, le=65_536)
    """MiB of message bodies that a process holds at once, all its queues together. Plan twice as much memory,
    plus 192 MiB for everything else."""
    http_host: str = "127.0.0.1"
    """Address of `/metrics`, `/healthz` and `/readyz`."""
    http_port: int | None = Field(default=None, ge=0, le=65535)
    """Port of `/metrics`, `/healthz` and `/readyz`; not served if unset, a free port if 0."""
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    """`debug`, `info`, `warning` or `error`; each attempt is a line at `info`."""
    log_format: str = Field(default="auto", pattern="^(auto|json|console)$")
    """`json`, `console`, or `auto`: console on a terminal."""

    @property
    def buffer_bytes(self) -> int:
        """Bytes of messages that a process holds at once."""
        return self.buffer_mib * 1024 * 1024


class AlertSettings(BaseSettings):
    """Alerts to operators about dead letters and providers that are down."""

    model_config = section("TIDINGS_ALERT_")

    url: SecretStr = SecretStr("")
    """Send alerts to this Apprise URL, e.g. `slack://…` or `mailto://…`; no alerts if empty."""
    channel: str = ""
    """Send alerts as notifications on this channel, e.g. `email`, if no URL is set."""
    recipient: str = ""
    """Recipient of the alerts that are sent as notifications."""
    every: Duration = 900.0
    """Send at most one alert about dead letters and one about providers in this time."""
    rules: bool = True
    """Judge the rules of alerts too; `false` in an archiver that does not reach their receivers, if another does."""
