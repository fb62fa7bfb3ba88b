"""All settings, each section read when it is first asked for."""

from functools import cached_property
from typing import Self

from pydantic_settings import BaseSettings

from tidings.channels import registry
from tidings.channels.fallbacks import inherit, prefix_of
from tidings.channels.settings import AccountSettings, ChannelSettings
from tidings.delivery.delay import Delay
from tidings.delivery.ports import PRIMARY
from tidings.delivery.retry_policy import DeliveryPolicy, RetryPolicy
from tidings.runtime.environment.reading import read
from tidings.settings.broker import BrokerSettings
from tidings.settings.ledger import LedgerSettings
from tidings.settings.processes import AlertSettings, CategorySettings, WorkerSettings


def sections() -> tuple[type[BaseSettings], ...]:
    """Every section there is, those of the channels among them."""
    return (
        BrokerSettings,
        LedgerSettings,
        WorkerSettings,
        *(spec.settings for spec in registry.SPECS.values()),
        *_accounts(),
        AlertSettings,
    )


def _accounts() -> tuple[type[AccountSettings], ...]:
    """Those that channels share, each once."""
    shared = (spec.account for spec in registry.SPECS.values())
    return tuple(dict.fromkeys(account for account in shared if account is not None))


class Settings:
    """All sections, each read from the environment when it is first asked for."""

    @cached_property
    def broker(self) -> BrokerSettings:
        """RabbitMQ."""
        return read(BrokerSettings)

    @cached_property
    def ledger(self) -> LedgerSettings:
        """PostgreSQL."""
        return read(LedgerSettings)

    @cached_property
    def worker(self) -> WorkerSettings:
        """The processes."""
        return read(WorkerSettings)

    @cached_property
    def alerting(self) -> AlertSettings:
        """Telling operators."""
        return read(AlertSettings)

    @cached_property
    def channels(self) -> dict[str, ChannelSettings]:
        """Every channel's section by its name."""
        return {name: read(spec.settings) for name, spec in registry.SPECS.items()}

    @cached_property
    def accounts(self) -> dict[type[AccountSettings], AccountSettings]:
        """Every section that channels share, by its class."""
        return {account: read(account) for account in _accounts()}

    def policy(self, channel: str, category: str) -> DeliveryPolicy:
        """How a channel treats a category."""
        section = self.channels[channel]
        override = self.worker.categories.get(category, CategorySettings())
        return DeliveryPolicy(
            retry=RetryPolicy(section.retry if override.retry is None else override.retry),
            guarantee=section.guarantee,
            send_timeout=section.send_timeout,
            expires_after=override.expires_after,
            queue_delays=self.delays(channel),
        )

    def providers(self, channel: str) -> tuple[str, ...]:
        """Names of those who deliver for a channel, the preferred one first."""
        return self.channels[channel].providers

    def provider(self, channel: str, name: str) -> ChannelSettings:
        """A channel's section as it is for one of its providers.

        Raises:
            ConfigurationError: A variable of a fallback is wrong or missing; names it.
        """
        preferred = self.channels[channel]
        if name == PRIMARY:
            return preferred
        section = read(type(preferred), prefix_of(channel, name))
        section.check_fallback(name)
        return inherit(section, preferred, but=section.own)

    def account(self, channel: str, name: str) -> AccountSettings | None:
        """The section that a channel shares with others, as it is for one of its providers; None where it has none.

        Raises:
            ConfigurationError: A variable of a fallback is wrong; names it.
        """
        kind: type[AccountSettings] | None = registry.SPECS[channel].account
        if kind is None:
            return None
        preferred = self.accounts[kind]
        if name == PRIMARY:
            return preferred
        account = read(kind, prefix_of(channel, name))
        return inherit(account, preferred, but=account.own)

    def delays(self, channel: str) -> tuple[Delay, ...]:
        """Every retry delay that may be used on a channel, shortest first: one retry queue each."""
        overrides = (category.retry or () for category in self.worker.categories.values())
        section = self.channels[channel]
        used = {
            *section.retry,
            *section.deferred,
            *(each for delays in overrides for each in delays),
        }
        return tuple(sorted(used))

    def check(self) -> Self:
        """Read every section now.

        Raises:
            ConfigurationError: Naming the variable that is wrong.
        """
        _ = self.broker, self.ledger, self.worker, self.accounts, self.alerting, self.channels
        for channel in self.channels:
            for name in self.providers(channel):
                _ = self.provider(channel, name), self.account(channel, name)
        return self
