"""Settings of the in-app inbox as a channel."""

from typing import Annotated, Final

from pydantic import Field

from tidings.channels.settings import ChannelSettings
from tidings.delivery.retry_policy import RetryPolicy
from tidings.runtime.environment.formats import Delays, Duration
from tidings.runtime.environment.reading import section

PROVIDER: Final = "inbox"
SOON: Final = RetryPolicy.exponential(initial=5, multiplier=4, maximum=1800, count=6)


class InAppSettings(ChannelSettings):
    """The inbox of an application's users."""

    model_config = section("TIDINGS_IN_APP_")

    enabled: bool = True
    """Whether workers put messages into inboxes."""
    concurrency: int = Field(default=400, ge=1, le=2000)
    """Concurrent messages per worker; those that come together share a commit."""
    prefetch: int = Field(default=800, ge=1, le=5000)
    """Unacknowledged messages per worker and priority; at least `CONCURRENCY`."""
    send_timeout: Duration = 15.0
    retry: Annotated[Delays, Field(min_length=1)] = SOON.delays
    """Delays between attempts; at least one is required."""
