"""All channels, and how they are built from the settings.

Each channel of the contract has a package of its name beside this file, which exports a `SPEC`.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeAlias

from tidings.channels.fallbacks import prefix_of
from tidings.channels.settings import AccountSettings, ChannelSettings
from tidings.channels.spec import ChannelServices, ChannelSetup, ChannelSpec
from tidings.delivery.errors import ConfigurationError
from tidings.delivery.ports import PRIMARY, Channel, Finding
from tidings_events import CHANNELS

Spec: TypeAlias = ChannelSpec[Any, Any]

_specs: Final[dict[str, Spec]] = {
    name: import_module(f"tidings.channels.{name}").SPEC for name in CHANNELS
}
SPECS: Final[Mapping[str, Spec]] = MappingProxyType(_specs)
"""Every channel by its name, in the order of the contract."""


class ChannelConfiguration(Protocol):
    """The part of the settings that channels are built from."""

    def providers(self, channel: str) -> tuple[str, ...]:
        """Names of a channel's providers, the preferred one first."""
        ...

    def provider(self, channel: str, name: str) -> ChannelSettings:
        """A channel's section for one of its providers."""
        ...

    def account(self, channel: str, name: str) -> AccountSettings | None:
        """The section that a channel shares with others, for one of its providers."""
        ...


def build(
    settings: ChannelConfiguration, services: ChannelServices, *, only: Collection[str] = ()
) -> dict[str, Channel]:
    """The configured channels by name; only those in `only`, if it is not empty.

    Args:
        services: Of this process; they outlive the channels.

    Raises:
        ConfigurationError: A name in `only` is unknown or not configured, or a channel's
            settings contradict each other.
    """
    return {name: _made(settings, services, name, PRIMARY) for name in configured(settings, only)}


def configured(settings: ChannelConfiguration, only: Collection[str] = ()) -> list[str]:
    """The names of the channels that `build` builds. Raises as it does for names in `only`."""
    for name in only:
        if name not in SPECS:
            raise ConfigurationError(f"there is no channel {name!r}; known are {', '.join(SPECS)}")
        if not is_configured(settings, name):
            raise ConfigurationError(
                f"channel {name} is not configured; set {SPECS[name].variables}"
            )
    return [name for name in SPECS if (name in only if only else is_configured(settings, name))]


def is_configured(settings: ChannelConfiguration, name: str) -> bool:
    """Whether the settings switch a channel on."""
    section, account = settings.provider(name, PRIMARY), settings.account(name, PRIMARY)
    return SPECS[name].configured(section, account)


def recorded_as(settings: ChannelConfiguration, name: str, provider: str) -> str:
    """The name under which attempts record a provider of a channel; empty if the channel is not configured.

    Raises:
        ConfigurationError: A variable of a fallback is wrong or missing; names it.
    """
    if not is_configured(settings, name):
        return ""
    section, account = settings.provider(name, provider), settings.account(name, provider)
    return SPECS[name].recorded_as(section, account)


def how_to_configure() -> str:
    """The variables that switch each channel on, for an error message."""
    return "; ".join(f"{name}: {spec.variables}" for name, spec in SPECS.items())


def fallbacks(
    settings: ChannelConfiguration, services: ChannelServices, channels: Collection[str]
) -> dict[str, dict[str, Channel]]:
    """The fallback providers of these channels, by channel and provider, in order of preference.

    Raises:
        ConfigurationError: A fallback's variable is wrong or missing; names it.
    """
    return {
        name: {
            provider: _made(settings, services, name, provider)
            for provider in settings.providers(name)
            if provider != PRIMARY
        }
        for name in channels
    }


def labelled(provider: str, channel: str, findings: Sequence[Finding]) -> Sequence[Finding]:
    """Findings with the provider's name, and with its own variables in the remedy."""
    if provider == PRIMARY:
        return findings
    own, account = prefix_of(channel, provider), SPECS[channel].account
    shared = (
        f"TIDINGS_{channel}_".upper(),
        *([account.model_config["env_prefix"]] if account else ()),
    )
    return [
        replace(
            finding,
            subject=f"{finding.subject} ({provider})",
            remedy=re.sub("|".join(map(re.escape, shared)), own, finding.remedy),
        )
        for finding in findings
    ]


def _made(
    settings: ChannelConfiguration, services: ChannelServices, name: str, provider: str
) -> Channel:
    section, account = settings.provider(name, provider), settings.account(name, provider)
    return SPECS[name].build(ChannelSetup(section, account, services))
