"""All settings; a section is read at its first use."""

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
from tidings.settings.api import ApiSettings
from tidings.settings.broker import BrokerSettings
from tidings.settings.console import ConsoleSettings
from tidings.settings.ledger import LedgerSettings
from tidings.settings.mcp import McpSettings
from tidings.settings.outbox import OutboxSettings
from tidings.settings.processes import AlertSettings, CategorySettings, WorkerSettings


def sections() -> tuple[type[BaseSettings], ...]:
    """Every section, including those of the channels."""
    return (
        BrokerSettings,
        LedgerSettings,
        WorkerSettings,
        OutboxSettings,
        *(spec.settings for spec in registry.SPECS.values()),
        *_accounts(),
        AlertSettings,
        ApiSettings,
        ConsoleSettings,
        McpSettings,
    )


def _accounts() -> tuple[type[AccountSettings], ...]:
    """Sections that channels share, each once."""
    shared = (spec.account for spec in registry.SPECS.values())
    return tuple(dict.fromkeys(account for account in shared if account is not None))


class Settings:
    """All sections, each read from the environment at its first use."""

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
    def outbox(self) -> OutboxSettings:
        """The outbox in a producer's database."""
        return read(OutboxSettings)

    @cached_property
    def alerting(self) -> AlertSettings:
        """Alerts."""
        return read(AlertSettings)

    @cached_property
    def api(self) -> ApiSettings:
        """The HTTP API."""
        return read(ApiSettings)

    @cached_property
    def console(self) -> ConsoleSettings:
        """The console."""
        return read(ConsoleSettings)

    @cached_property
    def mcp(self) -> McpSettings:
        """The server of the Model Context Protocol."""
        return read(McpSettings)

    @cached_property
    def channels(self) -> dict[str, ChannelSettings]:
        """Every channel's section by its name."""
        return {name: read(spec.settings) for name, spec in registry.SPECS.items()}

    @cached_property
    def accounts(self) -> dict[type[AccountSettings], AccountSettings]:
        """Sections that channels share, by class."""
        return {account: read(account) for account in _accounts()}

    def policy(self, channel: str, category: str) -> DeliveryPolicy:
        """The delivery policy of a category on a channel."""
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
        """Names of a channel's providers, the preferred one first."""
        return self.channels[channel].providers

    def provider(self, channel: str, name: str) -> ChannelSettings:
        """A channel's section for one of its providers.

        Raises:
            ConfigurationError: A variable of a fallback provider is wrong or missing; names it.
        """
        preferred = self.channels[channel]
        if name == PRIMARY:
            return preferred
        section = read(type(preferred), prefix_of(channel, name))
        section.check_fallback(name)
        return inherit(section, preferred, but=section.own)

    def account(self, channel: str, name: str) -> AccountSettings | None:
        """The section that a channel shares with others, for one of its providers; None if it shares none.

        Raises:
            ConfigurationError: A variable of a fallback provider is wrong; names it.
        """
        kind: type[AccountSettings] | None = registry.SPECS[channel].account
        if kind is None:
            return None
        preferred = self.accounts[kind]
        if name == PRIMARY:
            return preferred
        account = read(kind, prefix_of(channel, name))
        return inherit(account, preferred, but=account.own)

    @cached_property
    def recorded_as(self) -> dict[str, dict[str, str]]:
        """By channel and provider, the name under which attempts record it; empty if the channel is not configured.

        Raises:
            ConfigurationError: A variable of a fallback provider is wrong or missing; names it.
        """
        return {
            channel: {
                provider: registry.recorded_as(self, channel, provider)
                for provider in self.providers(channel)
            }
            for channel in self.channels
        }

    def delays(self, channel: str) -> tuple[Delay, ...]:
        """Every retry delay that a channel uses, shortest first: each has a retry queue."""
        overrides = (category.retry or () for category in self.worker.categories.values())
        section = self.channels[channel]
        used = {
            *section.retry,
            *section.postponed,
            *(each for delays in overrides for each in delays),
        }
        return tuple(sorted(used))

    def check(self) -> Self:
        """Read every section now.

        Raises:
            ConfigurationError: A variable is wrong; names it.
        """
        _ = (
            self.broker,
            self.ledger,
            self.worker,
            self.outbox,
            self.accounts,
            self.alerting,
            self.channels,
            self.api,
            self.mcp,
        )
        self.console.check()
        for channel in self.channels:
            for name in self.providers(channel):
                _ = self.provider(channel, name), self.account(channel, name)
        return self
