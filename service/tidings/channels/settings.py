"""What every channel can be told: pace, retries, circuit. Each has a section of its own beside it."""

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
    """What several channels share; a fallback provider of any of them may have one of its own."""

    @property
    def own(self) -> frozenset[str]:
        """Fields that a fallback does not take over from the preferred provider, where they are not set for it."""
        return frozenset()


class ChannelSettings(BaseSettings):
    """What every channel has; each with its own prefix, e.g. `TIDINGS_EMAIL_CONCURRENCY`."""

    concurrency: int = Field(default=50, ge=1, le=2000)
    """Sends under way at once, per worker."""
    prefetch: int = Field(default=100, ge=1, le=5000)
    """Messages a worker holds unacknowledged of each priority; raised to `concurrency`."""
    send_timeout: Duration = 30.0
    """How long one send may take."""
    rate: Rate | None = None
    """Most sends a second per worker, e.g. `50/s`; unlimited where unset."""
    retry: Annotated[Delays, Field(min_length=1)] = DEFAULT_RETRY.delays
    """Waits between attempts; at least one, for `max_retries: 0` in a notification means none."""
    guarantee: Guarantee = Guarantee.AT_LEAST_ONCE
    """`at_least_once` or `at_most_once`, where nobody can know whether it was sent."""
    low_share: float = Field(default=0.05, ge=0, le=0.5)
    """Share of sends that goes past the most urgent to those who waited longest behind them."""
    circuit_failures: int = Field(default=10, ge=0)
    """Failures in a row after which a provider counts as down: the channel rests and spends no attempts;
    0: only a misconfiguration makes it rest."""
    circuit_share: float = Field(default=0.75, gt=0, le=1)
    """Or this share of sends failing within the window…"""
    circuit_window: Duration = 60.0
    """… of this length…"""
    circuit_minimum: int = Field(default=20, ge=1)
    """… with at least so many sends in it."""
    circuit_probe: Duration = 5.0
    """How long until one notification tries a provider that is down; twice as long each time it fails, up
    to 60 times."""

    @property
    def providers(self) -> tuple[str, ...]:
        """Names of those who deliver for the channel, the preferred one first: a section with `fallbacks` names more."""
        return (PRIMARY, *getattr(self, "fallbacks", ()))

    @property
    def own(self) -> frozenset[str]:
        """Fields that a fallback does not take over from the preferred provider, where they are not set for it."""
        return frozenset({"fallbacks"})

    def check_fallback(self, name: str) -> None:
        """Look over the section of a fallback provider.

        Raises:
            ConfigurationError: A variable is wrong or missing; names it.
        """

    @property
    def deferred(self) -> tuple[Delay, ...]:
        """Waits beside those of `retry`, for what is not asked because of its receiver."""
        return ()

    @property
    def aside(self) -> int:
        """Messages held beyond `prefetch`: they wait for receivers that are slow, without a place."""
        return 0

    @property
    def circuit(self) -> CircuitPolicy:
        """When a provider counts as down, and as recovered."""
        return CircuitPolicy(
            failures=self.circuit_failures,
            share=self.circuit_share,
            window=self.circuit_window,
            minimum=self.circuit_minimum,
            probe=self.circuit_probe,
            slots=self.concurrency,
        )
