"""All settings, each section read when it is first asked for."""

from functools import cached_property
from typing import Final, Self

from pydantic_settings import BaseSettings

from tidings.delivery.delay import Delay
from tidings.delivery.errors import ConfigurationError
from tidings.delivery.ports import PRIMARY
from tidings.delivery.retry_policy import DeliveryPolicy, RetryPolicy
from tidings.settings.broker import BrokerSettings
from tidings.settings.channels import (
    CHANNEL_SECTIONS,
    ChannelSettings,
    EmailSettings,
    SmsSettings,
    TwilioSettings,
    WhatsAppSettings,
)
from tidings.settings.fallbacks import ACCOUNT, RELAY, inherit, prefix_of
from tidings.settings.ledger import LedgerSettings
from tidings.settings.processes import CategorySettings, EscalationSettings, WorkerSettings
from tidings.settings.reading import read

SECTIONS: Final[tuple[type[BaseSettings], ...]] = (
    BrokerSettings,
    LedgerSettings,
    WorkerSettings,
    *CHANNEL_SECTIONS.values(),
    TwilioSettings,
    EscalationSettings,
)


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
    def twilio(self) -> TwilioSettings:
        """The Twilio account."""
        return read(TwilioSettings)

    @cached_property
    def escalation(self) -> EscalationSettings:
        """Telling operators."""
        return read(EscalationSettings)

    @cached_property
    def channels(self) -> dict[str, ChannelSettings]:
        """Every channel's section by its name."""
        return {name: read(section) for name, section in CHANNEL_SECTIONS.items()}

    def policy(self, channel: str, category: str) -> DeliveryPolicy:
        """How a channel treats a category."""
        section = self.channels[channel]
        override = self.worker.categories.get(category, CategorySettings())
        return DeliveryPolicy(
            retry=RetryPolicy(section.retry if override.retry is None else override.retry),
            guarantee=section.guarantee,
            send_timeout=section.send_timeout,
            expires_after=override.expires_after,
            tiers=self.delays(channel),
        )

    def providers(self, channel: str) -> tuple[str, ...]:
        """Names of those who deliver for a channel, the preferred one first."""
        match self.channels[channel]:
            case EmailSettings(fallbacks=names) | SmsSettings(fallbacks=names):
                return (PRIMARY, *names)
            case WhatsAppSettings(fallbacks=names):
                return (PRIMARY, *names)
            case _:
                return (PRIMARY,)

    def provider(self, channel: str, name: str) -> ChannelSettings:
        """A channel's section as it is for one of its providers.

        Raises:
            ConfigurationError: A variable of a fallback is wrong or missing; names it.
        """
        section = self.channels[channel]
        if name == PRIMARY:
            return section
        own = read(type(section), prefix_of(channel, name))
        if isinstance(own, EmailSettings):
            _check_relay(own, name)
        return inherit(own, section, but=RELAY)

    def account(self, channel: str, name: str) -> TwilioSettings:
        """The Twilio account of a provider. Raises like `provider`."""
        if name == PRIMARY:
            return self.twilio
        own = read(TwilioSettings, prefix_of(channel, name))
        return inherit(own, self.twilio, but=ACCOUNT if own.account_sid else frozenset())

    def delays(self, channel: str) -> tuple[Delay, ...]:
        """Every retry delay that may be used on a channel, shortest first: its tiers."""
        overrides = (category.retry or () for category in self.worker.categories.values())
        section = self.channels[channel]
        used = {
            *section.retry,
            *section.put_off,
            *(each for delays in overrides for each in delays),
        }
        return tuple(sorted(used))

    def check(self) -> Self:
        """Read every section now.

        Raises:
            ConfigurationError: Naming the variable that is wrong.
        """
        _ = self.broker, self.ledger, self.worker, self.twilio, self.escalation, self.channels
        for channel in self.channels:
            for name in self.providers(channel):
                _ = self.provider(channel, name), self.account(channel, name)
        return self


def _check_relay(own: EmailSettings, name: str) -> None:
    prefix = prefix_of("email", name)
    if not own.host:
        raise ConfigurationError(
            f"{prefix}HOST: set it, or take {name} out of TIDINGS_EMAIL_FALLBACKS"
        )
    if own.sender:
        raise ConfigurationError(
            f"{prefix}SENDER: unset it; mail comes from TIDINGS_EMAIL_SENDER, whoever carries it"
        )
