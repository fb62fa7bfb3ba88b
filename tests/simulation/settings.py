"""Settings that no environment variable changes, with times short enough for something to happen."""

from functools import lru_cache

from pydantic import SecretStr

from tidings.channels.email.settings import EmailSettings
from tidings.delivery.delay import Delay
from tidings.delivery.retry_policy import Guarantee
from tidings.settings import (
    AlertSettings,
    BrokerSettings,
    ChannelSettings,
    LedgerSettings,
    Settings,
    WorkerSettings,
)


class SimulatedSettings(Settings):
    """One channel, `email`, with these retries."""

    def __init__(
        self,
        queue_delays: tuple[Delay, ...],
        guarantee: Guarantee,
        concurrency: int,
        lease_margin: float,
        circuit_failures: int,
    ) -> None:
        self.__dict__["broker"] = BrokerSettings.model_construct(
            amqp_url=(SecretStr("amqp://memory/"),), amqp_timeout=4.0, amqp_backoff_max=5.0
        )
        self.__dict__["ledger"] = LedgerSettings.model_construct(
            database_url=SecretStr("postgresql://memory/"), database_timeout=3.0, requeue_after=15.0
        )
        self.__dict__["worker"] = WorkerSettings.model_construct(
            categories={}, lease_margin=lease_margin, grace=6.0
        )
        self.__dict__["alerting"] = AlertSettings.model_construct(rules=False)
        email: ChannelSettings = EmailSettings.model_construct(
            retry=queue_delays,
            guarantee=guarantee,
            concurrency=concurrency,
            prefetch=concurrency,
            send_timeout=3.0,
            circuit_failures=circuit_failures,
            circuit_minimum=4,
            circuit_probe=1.0,
        )
        self.__dict__["channels"] = {"email": email}


@lru_cache(maxsize=200)
def settings_of(
    queue_delays: tuple[Delay, ...],
    guarantee: Guarantee,
    concurrency: int,
    lease_margin: float,
    circuit_failures: int,
) -> SimulatedSettings:
    """The same object for the same values: building one takes longer than a message."""
    return SimulatedSettings(queue_delays, guarantee, concurrency, lease_margin, circuit_failures)
