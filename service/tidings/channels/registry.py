"""Which channels there are, what switches each on, and how it is made from the settings.

A new channel is one line in `LINES`.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeVar

from tidings.delivery.errors import ConfigurationError
from tidings.delivery.ports import PRIMARY, Channel
from tidings.settings import (
    ChannelSettings,
    EmailSettings,
    Settings,
    SmsSettings,
    WebhookSettings,
    WhatsAppSettings,
)

_Section = TypeVar("_Section", bound=ChannelSettings)


@dataclass(frozen=True, slots=True)
class Line:
    """One channel: is it configured, by which variable, and how is it made."""

    configured: Callable[[Settings], bool]
    variable: str
    """What to set where it is not configured."""
    make: Callable[[Settings, str], Channel]
    """Given the settings and a provider's name."""


def build(settings: Settings, *, only: Collection[str] = ()) -> dict[str, Channel]:
    """The configured channels by name; of those, `only` the named ones where any are named.

    Raises:
        ConfigurationError: A name in `only` is unknown or not configured, or a channel's
            settings contradict each other.
    """
    return {name: LINES[name].make(settings, PRIMARY) for name in configured(settings, only)}


def configured(settings: Settings, only: Collection[str] = ()) -> list[str]:
    """The names of the channels that `build` makes. Raises as it does for names in `only`."""
    for name in only:
        _require(name, settings)
    return [name for name in LINES if (name in only if only else LINES[name].configured(settings))]


def how_to_configure() -> str:
    """What to set, for a person who has set nothing."""
    return "; ".join(f"{name}: {line.variable}" for name, line in LINES.items())


def fallbacks(settings: Settings, channels: Collection[str]) -> dict[str, dict[str, Channel]]:
    """Who else delivers for these channels, by channel and by provider, in order of preference.

    Raises:
        ConfigurationError: A fallback's variable is wrong or missing; names it.
    """
    return {
        name: {
            one: LINES[name].make(settings, one)
            for one in settings.providers(name)
            if one != PRIMARY
        }
        for name in channels
    }


def _require(name: str, settings: Settings) -> None:
    line = LINES.get(name)
    if line is None:
        raise ConfigurationError(f"there is no channel {name!r}; known are {', '.join(LINES)}")
    if not line.configured(settings):
        raise ConfigurationError(f"channel {name} is not configured; set {line.variable}")


def _section(
    settings: Settings, name: str, kind: type[_Section], provider: str = PRIMARY
) -> _Section:
    section = settings.provider(name, provider)
    if not isinstance(section, kind):
        raise TypeError(f"the settings of {name} are {type(section).__name__}, not {kind.__name__}")
    return section


# Each channel imports its vendor's library, which takes time: only those in use are loaded.


def _email(settings: Settings, provider: str) -> Channel:
    from tidings.channels.email.channel import EmailChannel

    return EmailChannel(_section(settings, "email", EmailSettings, provider))


def _sms(settings: Settings, provider: str) -> Channel:
    from tidings.channels.sms.channel import SmsChannel

    section = _section(settings, "sms", SmsSettings, provider)
    return SmsChannel(section, settings.account("sms", provider))


def _whatsapp(settings: Settings, provider: str) -> Channel:
    from tidings.channels.whatsapp.channel import WhatsAppChannel

    section = _section(settings, "whatsapp", WhatsAppSettings, provider)
    return WhatsAppChannel(section, settings.account("whatsapp", provider))


def _webhook(settings: Settings, provider: str) -> Channel:
    from tidings.channels.webhook.channel import WebhookChannel

    return WebhookChannel(_section(settings, "webhook", WebhookSettings, provider))


def _has_email_host(settings: Settings) -> bool:
    return bool(_section(settings, "email", EmailSettings).host)


# An account alone says nothing of which of its channels is wanted: the sender does.


def _has_sms_sender(settings: Settings) -> bool:
    section = _section(settings, "sms", SmsSettings)
    return bool(settings.twilio.account_sid and (section.sender or section.messaging_service_sid))


def _has_whatsapp_sender(settings: Settings) -> bool:
    section = _section(settings, "whatsapp", WhatsAppSettings)
    return bool(settings.twilio.account_sid and (section.sender or section.messaging_service_sid))


def _has_webhook_secret(settings: Settings) -> bool:
    section = _section(settings, "webhook", WebhookSettings)
    return section.enabled and bool(section.secret.get_secret_value())


LINES: Final[Mapping[str, Line]] = MappingProxyType(
    {
        "email": Line(_has_email_host, "TIDINGS_EMAIL_HOST", _email),
        "sms": Line(_has_sms_sender, "TIDINGS_TWILIO_ACCOUNT_SID and TIDINGS_SMS_SENDER", _sms),
        "whatsapp": Line(
            _has_whatsapp_sender,
            "TIDINGS_TWILIO_ACCOUNT_SID and TIDINGS_WHATSAPP_SENDER",
            _whatsapp,
        ),
        "webhook": Line(_has_webhook_secret, "TIDINGS_WEBHOOK_SECRET", _webhook),
    }
)
