"""Settings common to all channels: concurrency, rate, retries, circuit breaker."""

from typing import Annotated, Final

from pydantic import Field
from pydantic_settings import BaseSettings

from tidings.delivery.circuit import CircuitPolicy
from tidings.delivery.delay import Delay
from tidings.delivery.ports import PRIMARY
from tidings.delivery.retry_policy import Guarantee, RetryPolicy
from tidings.runtime.environment.formats import Delays, Duration, Rate

DEFAULT_RETRY: Final = RetryPolicy.exponential(initial=60, multiplier=2, maximum=1800, count=6)


class AccountSettings(BaseSettings):
    """Settings that several channels share; a fallback provider may have its own."""

    @property
    def own(self) -> frozenset[str]:
        """Fields that a fallback does not inherit from the preferred provider."""
        return frozenset()


class ChannelSettings(BaseSettings):
    """Settings of every channel, each with its own prefix, e.g. `TIDINGS_EMAIL_CONCURRENCY`."""

    concurrency: int = Field(default=50, ge=1, le=2000)
    """Concurrent sends per worker."""
    prefetch: int = Field(default=100, ge=1, le=5000)
    """Unacknowledged messages per worker and priority; at least `CONCURRENCY`."""
    send_timeout: Duration = 30.0
    """Timeout of one send."""
    rate: Rate | None = None
    """Sends per second and worker at most, e.g. `50/s`; unlimited if unset."""
    retry: Annotated[Delays, Field(min_length=1)] = DEFAULT_RETRY.delays
    """Delays between attempts. At least one is required; to send a notification without retries, publish it with
    `max_retries: 0`."""
    guarantee: Guarantee = Guarantee.AT_LEAST_ONCE
    """`at_least_once` or `at_most_once`, if the outcome of a send is unknown."""
    low_share: float = Field(default=0.05, ge=0, le=0.5)
    """Share of sends reserved for the notifications that waited longest behind more urgent ones."""
    circuit_failures: int = Field(default=10, ge=0)
    """Failures in a row that open a provider's circuit: no attempts are spent while it is open; 0: only a
    misconfiguration opens it."""
    circuit_share: float = Field(default=0.75, gt=0, le=1)
    """The circuit also opens if this share of sends fails within `CIRCUIT_WINDOW`."""
    circuit_window: Duration = 60.0
    """Length of the window of `CIRCUIT_SHARE`."""
    circuit_minimum: int = Field(default=20, ge=1)
    """Minimum number of sends in the window, for `CIRCUIT_SHARE` to open the circuit."""
    circuit_probe: Duration = 5.0
    """Time until one notification probes a provider that is down; doubled each time it fails, up to 60 times
    as long."""

    @property
    def providers(self) -> tuple[str, ...]:
        """Names of the channel's providers, the preferred one first, then its `fallbacks`."""
        return (PRIMARY, *getattr(self, "fallbacks", ()))

    @property
    def own(self) -> frozenset[str]:
        """Fields that a fallback does not inherit from the preferred provider."""
        return frozenset({"fallbacks"})

    def check_fallback(self, name: str) -> None:
        """Check the section of a fallback provider.

        Raises:
            ConfigurationError: A variable is wrong or missing; names it.
        """

    @property
    def postponed(self) -> tuple[Delay, ...]:
        """Delays besides those of `retry`, for notifications postponed because of their receiver."""
        return ()

    @property
    def aside(self) -> int:
        """Messages beyond `prefetch` that wait for slow receivers without a concurrency slot."""
        return 0

    @property
    def circuit(self) -> CircuitPolicy:
        """When the circuit of a provider opens and closes."""
        return CircuitPolicy(
            failures=self.circuit_failures,
            share=self.circuit_share,
            window=self.circuit_window,
            minimum=self.circuit_minimum,
            probe=self.circuit_probe,
            slots=self.concurrency,
        )
