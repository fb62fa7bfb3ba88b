"""Every environment variable Tidings reads, in frozen sections, each with its meaning and default.

A value may also come from a file named like the variable in `TIDINGS_SECRETS_DIR` (Docker and
Kubernetes secrets), and a secret from the file that `TIDINGS_…_FILE` names. Nothing else in the service
reads these variables.
"""

import os
import re
from collections.abc import Iterable
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Annotated, Final, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from tidings.delivery.circuit import CircuitPolicy
from tidings.delivery.delay import Delay, seconds
from tidings.delivery.errors import ConfigurationError
from tidings.delivery.ports import PRIMARY
from tidings.delivery.retry_policy import DeliveryPolicy, Guarantee, RetryPolicy
from tidings.secret_files import secrets_in_files


def _duration(value: object) -> object:
    return seconds(value) if isinstance(value, str) else value


def _rate(value: object) -> object:
    """`50/s`, `100/m`, `1000/h` → per second."""
    if not isinstance(value, str):
        return value
    count, _, unit = value.partition("/")
    per = {"": 1, "s": 1, "m": 60, "h": 3600}.get(unit.strip())
    try:
        return float(count) / per if per else value
    except ValueError:
        raise ValueError(f"{value!r} is not a rate: write it like 50/s, 100/m or 1000/h") from None


def _words(value: object) -> object:
    """`a, b c` → a list, so that a variable needs no JSON."""
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


def _delays(value: object) -> object:
    words = _words(value)
    if not isinstance(words, Iterable):
        return words
    return tuple(Delay.parse(word) if isinstance(word, str) else word for word in words)


_HOST: Final = re.compile(r"(?:\[[^]]+\]|[^]\[:]*)(?::(\d{1,5}))?")


def _is_url(url: str, *schemes: str) -> bool:
    parts = urlsplit(url)
    hosts = parts.netloc.rpartition("@")[2].split(",")
    return parts.scheme in schemes and all(_is_host(host) for host in hosts)


def _is_host(host: str) -> bool:
    match = _HOST.fullmatch(host)
    return match is not None and 0 < int(match[1] or 1) < 65_536


def _amqp_urls(urls: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    for url in urls:
        text = url.get_secret_value()
        if not _is_url(text, "amqp", "amqps") or not urlsplit(text).hostname:
            raise ValueError("write it like amqp://user:password@host:5672/vhost")
    return urls


def _management_url(url: SecretStr | None) -> SecretStr | None:
    text = url.get_secret_value() if url else ""
    if text and not (_is_url(text, "http", "https") and urlsplit(text).hostname):
        raise ValueError("write it like http://user:password@host:15672")
    return url


def _database_url(url: SecretStr) -> SecretStr:
    if not _is_url(url.get_secret_value(), "postgresql", "postgres"):
        raise ValueError("write it like postgresql://user:password@host:5432/database")
    return url


class Written(Enum):
    """How people write a number."""

    LENGTH_OF_TIME = "30s, 2m, 1h30m, 7d"
    RATE = "50/s, 100/m, 1000/h"


Duration = Annotated[
    float, BeforeValidator(_duration), Field(gt=0, allow_inf_nan=False), Written.LENGTH_OF_TIME
]
"""Seconds; written as `30s`, `2m`, `1h30m`, `7d`."""
Rate = Annotated[float, BeforeValidator(_rate), Field(gt=0, allow_inf_nan=False), Written.RATE]
"""Per second; written as `50/s`, `100/m`, `1000/h`."""
Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]
Delays = Annotated[tuple[Delay, ...], NoDecode, BeforeValidator(_delays)]
"""Waits between attempts; written as `1m 2m 4m`."""

_NAME: Final = re.compile(r"[a-z][a-z0-9]{0,30}")


def _names(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not _NAME.fullmatch(name) or name in RESERVED:
            raise ValueError(
                f"{name[:40]!r} can't be a name: write letters and digits, like backup or relay2, "
                f"but none of {', '.join(sorted(RESERVED))}"
            )
    if len(set(names)) < len(names):
        raise ValueError("a name is there twice")
    return names


RESERVED: Final = frozenset(
    {PRIMARY, "account", "allow", "api", "auth", "ca", "circuit", "low", "max", "messages"}
    | {"messaging", "send", "base", "status"}
)
"""Would make two variables of one name."""
Fallbacks = Annotated[Words, AfterValidator(_names)]

_Section = TypeVar("_Section", bound=BaseSettings)

DEFAULT_RETRY: Final = RetryPolicy.exponential(initial=60, multiplier=2, maximum=1800, count=6)


def _section(prefix: str) -> SettingsConfigDict:
    return SettingsConfigDict(
        env_prefix=prefix,
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        arbitrary_types_allowed=True,
    )


class BrokerSettings(BaseSettings):
    """RabbitMQ."""

    model_config = _section("TIDINGS_")

    amqp_url: Annotated[
        tuple[SecretStr, ...],
        NoDecode,
        BeforeValidator(_words),
        Field(min_length=1),
        AfterValidator(_amqp_urls),
    ] = (SecretStr("amqp://guest:guest@localhost:5672/"),)
    """One URL, or several of one cluster separated by commas; tried in turn. `amqps://` verifies."""
    amqp_heartbeat: int = Field(default=30, ge=5, le=600)
    """Seconds between heartbeats."""
    amqp_timeout: Duration = 15.0
    """How long to wait for the broker: a connection, a declaration, a confirm."""
    amqp_ca_file: Path | None = None
    """Certificate authority for `amqps://`, where the system's own don't know it."""
    amqp_backoff_max: Duration = 30.0
    """Longest wait between two tries to connect."""
    management_url: Annotated[SecretStr | None, AfterValidator(_management_url)] = None
    """RabbitMQ's management API, `http://user:password@host:15672`: only `tidings topology` and
    `tidings doctor` ask it. Derived from the first AMQP URL where unset."""

    @property
    def urls(self) -> tuple[str, ...]:
        """The URLs in the clear, for those who connect."""
        return tuple(url.get_secret_value() for url in self.amqp_url)

    @property
    def management(self) -> str:
        """The management API's URL in the clear."""
        if self.management_url is not None:
            return self.management_url.get_secret_value()
        parts = urlsplit(self.urls[0])
        scheme, port = ("https", 15671) if parts.scheme == "amqps" else ("http", 15672)
        userinfo = parts.netloc.rpartition("@")[0] or "guest:guest"
        host = parts.hostname or "localhost"
        return f"{scheme}://{userinfo}@{f'[{host}]' if ':' in host else host}:{port}"


class LedgerSettings(BaseSettings):
    """PostgreSQL."""

    model_config = _section("TIDINGS_")

    database_url: Annotated[SecretStr, AfterValidator(_database_url)] = SecretStr(
        "postgresql://tidings@localhost:5432/tidings"
    )
    """`postgresql://user:password@host:port/database`. The certificate of another machine is verified:
    add `?sslrootcert=FILE` for an authority of your own, `?sslmode=disable` to do without TLS."""
    database_pool_size: int = Field(default=6, ge=2, le=100)
    """Connections a process may hold."""
    database_timeout: Duration = 10.0
    """How long one statement may take."""
    batch_size: int = Field(default=200, ge=1, le=1000)
    """Most notifications claimed or recorded in one statement."""
    idempotency_window: Duration = 7 * 86_400.0
    """How long an `idempotency_key` is remembered."""


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
    def circuit(self) -> CircuitPolicy:
        """When a provider counts as down, and as recovered."""
        return CircuitPolicy(
            failures=self.circuit_failures,
            share=self.circuit_share,
            window=self.circuit_window,
            minimum=self.circuit_minimum,
            probe=self.circuit_probe,
            places=self.concurrency,
        )


class EmailSettings(ChannelSettings):
    """Email through an SMTP relay."""

    model_config = _section("TIDINGS_EMAIL_")

    host: str = ""
    """The relay; the channel is off where empty."""
    port: int = Field(default=587, ge=1, le=65535)
    """The relay's port: 587 or 25 for `starttls`, 465 for `implicit`."""
    tls: str = Field(default="starttls", pattern="^(none|starttls|implicit)$")
    """`starttls`, `implicit` (465) or `none` (a relay on this machine)."""
    ca_file: Path | None = None
    """Certificate authority of the relay, where the system's own don't know it."""
    username: str = ""
    """Login at the relay; none where empty."""
    password: SecretStr = SecretStr("")
    """Its password."""
    sender: str = ""
    """From address, e.g. `Example <no-reply@example.com>`."""
    helo: str = ""
    """Name to greet the relay with; this machine's where empty."""
    connections: int = Field(default=10, ge=1, le=500)
    """SMTP connections kept open."""
    messages_per_connection: int = Field(default=500, ge=1)
    """Messages after which a connection is renewed."""
    fallbacks: Fallbacks = ()
    """Names of further relays, in order of preference, e.g. `backup`: each with variables of its own, such
    as `TIDINGS_EMAIL_<NAME>_HOST`."""


class TwilioSettings(BaseSettings):
    """The Twilio account that SMS and WhatsApp share."""

    model_config = _section("TIDINGS_TWILIO_")

    account_sid: str = ""
    """SMS and WhatsApp are off where empty."""
    auth_token: SecretStr = SecretStr("")
    """The account's token; not needed with an API key."""
    api_key: str = ""
    """An API key's SID, used with `api_secret` instead of the auth token."""
    api_secret: SecretStr = SecretStr("")
    """The API key's secret."""
    base_url: str = "https://api.twilio.com"
    """Another server that speaks Twilio's API, e.g. the local sink."""
    status_callback: str = ""
    """URL that Twilio reports receipts to."""


class SmsSettings(ChannelSettings):
    """SMS through Twilio."""

    model_config = _section("TIDINGS_SMS_")

    guarantee: Guarantee = Guarantee.AT_MOST_ONCE
    """A second text message costs money and trust, and Twilio has no idempotency key."""
    sender: str = ""
    """From number in E.164, or an alphanumeric sender."""
    messaging_service_sid: str = ""
    """Used instead of `sender`."""
    fallbacks: Fallbacks = ()
    """Names of further Twilio accounts or regions, in order of preference: each with variables of its own,
    such as `TIDINGS_SMS_<NAME>_ACCOUNT_SID` and `TIDINGS_SMS_<NAME>_SENDER`."""


class WhatsAppSettings(ChannelSettings):
    """WhatsApp through Twilio."""

    model_config = _section("TIDINGS_WHATSAPP_")

    guarantee: Guarantee = Guarantee.AT_MOST_ONCE
    """A second message costs money and trust, and Twilio has no idempotency key."""
    sender: str = ""
    """From number in E.164."""
    messaging_service_sid: str = ""
    """Used instead of `sender`."""
    fallbacks: Fallbacks = ()
    """Names of further Twilio accounts or regions, as for SMS: `TIDINGS_WHATSAPP_<NAME>_ACCOUNT_SID` …"""


class WebhookSettings(ChannelSettings):
    """Signed HTTP POST."""

    model_config = _section("TIDINGS_WEBHOOK_")

    enabled: bool = True
    """Whether webhooks are delivered, where there is a secret to sign them with."""
    secret: SecretStr = SecretStr("")
    """Standard Webhooks signing secret, `whsec_…`; several separated by spaces while rotating."""
    send_timeout: Duration = 15.0
    circuit_failures: int = Field(default=0, ge=0)
    """0: every webhook goes to a server of its own, and says nothing of the others. Elsewhere as above."""
    allow_private: bool = False
    """Whether a webhook may go to loopback and private addresses."""
    max_response: int = Field(default=65_536, ge=0, le=10_485_760)
    """Bytes of a reply that are read before the connection is closed."""


class CategorySettings(BaseModel):
    """What a category changes, whatever the channel."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    retry: Delays | None = None
    """Waits between attempts instead of the channel's."""
    expires_after: Duration | None = None
    """How long a notification without `expires_at` is worth delivering."""


class WorkerSettings(BaseSettings):
    """The processes."""

    model_config = _section("TIDINGS_")

    categories: dict[str, CategorySettings] = Field(
        default_factory=lambda: {
            "otp": CategorySettings(retry="5s 15s 30s 1m", expires_after="10m"),
        }
    )
    """Overrides by category, as JSON: `{"otp": {"retry": "5s 15s", "expires_after": "10m"}}`."""
    templates_root: Path = Path("templates")
    """Folder of the message templates."""
    lease_margin: Duration = 30.0
    """How long a lease outlasts its send, for recording it through a slow database; after that, what
    a vanished worker was sending is taken over."""
    grace: Duration = 45.0
    """How long a process finishes what it has begun after SIGTERM."""
    http_host: str = "127.0.0.1"
    """Where `/metrics`, `/healthz` and `/readyz` listen."""
    http_port: int | None = Field(default=None, ge=0, le=65535)
    """Their port; none where unset, a free one where 0."""
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    """`debug`, `info`, `warning` or `error`; each attempt is a line at `info`."""
    log_format: str = Field(default="auto", pattern="^(auto|json|console)$")
    """`json`, `console`, or `auto`: console on a terminal."""
    failpoints: str = ""
    """For tests only: steps of a message at which a worker ends itself, e.g. `after-send=kill@17`."""


class EscalationSettings(BaseSettings):
    """Telling operators of dead letters, and of providers that are down."""

    model_config = _section("TIDINGS_ESCALATION_")

    url: SecretStr = SecretStr("")
    """An Apprise URL, e.g. `slack://…` or `mailto://…`; nobody is told where empty."""
    channel: str = ""
    """Or one of our own channels, e.g. `email`…"""
    recipient: str = ""
    """… and whom to tell there."""
    every: Duration = 900.0
    """At most one message of each of the two in this time."""


class Settings:
    """All sections, each read from the environment when it is first asked for."""

    @cached_property
    def broker(self) -> BrokerSettings:
        """RabbitMQ."""
        return _read(BrokerSettings)

    @cached_property
    def ledger(self) -> LedgerSettings:
        """PostgreSQL."""
        return _read(LedgerSettings)

    @cached_property
    def worker(self) -> WorkerSettings:
        """The processes."""
        return _read(WorkerSettings)

    @cached_property
    def twilio(self) -> TwilioSettings:
        """The Twilio account."""
        return _read(TwilioSettings)

    @cached_property
    def escalation(self) -> EscalationSettings:
        """Telling operators."""
        return _read(EscalationSettings)

    @cached_property
    def channels(self) -> dict[str, ChannelSettings]:
        """Every channel's section by its name."""
        return {name: _read(section) for name, section in CHANNEL_SECTIONS.items()}

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
        own = _read(type(section), prefix_of(channel, name))
        if isinstance(own, EmailSettings):
            _check_relay(own, name)
        return _inherit(own, section, but=RELAY)

    def account(self, channel: str, name: str) -> TwilioSettings:
        """The Twilio account of a provider. Raises like `provider`."""
        if name == PRIMARY:
            return self.twilio
        own = _read(TwilioSettings, prefix_of(channel, name))
        return _inherit(own, self.twilio, but=ACCOUNT if own.account_sid else frozenset())

    def delays(self, channel: str) -> tuple[Delay, ...]:
        """Every retry delay that may be used on a channel, shortest first: its tiers."""
        overrides = (category.retry or () for category in self.worker.categories.values())
        used = {*self.channels[channel].retry, *(delay for delays in overrides for delay in delays)}
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


CHANNEL_SECTIONS: Final[dict[str, type[ChannelSettings]]] = {
    "email": EmailSettings,
    "sms": SmsSettings,
    "whatsapp": WhatsAppSettings,
    "webhook": WebhookSettings,
}

SECTIONS: Final[tuple[type[BaseSettings], ...]] = (
    BrokerSettings,
    LedgerSettings,
    WorkerSettings,
    *CHANNEL_SECTIONS.values(),
    TwilioSettings,
    EscalationSettings,
)


RELAY: Final = frozenset({"host", "port", "tls", "ca_file", "username", "password", "fallbacks"})
"""What every relay has for itself: a password is not tried elsewhere."""
TWILIO_CHANNELS: Final = frozenset({"sms", "whatsapp"})
ACCOUNT: Final = frozenset({"account_sid", "auth_token", "api_key", "api_secret"})


def prefix_of(channel: str, provider: str) -> str:
    """What the variables of a fallback begin with, e.g. `TIDINGS_EMAIL_BACKUP_`."""
    return f"TIDINGS_{channel}_{provider}_".upper()


def _inherit(own: _Section, preferred: _Section, *, but: frozenset[str]) -> _Section:
    """What is not set for a fallback is as for the preferred provider."""
    missing = type(own).model_fields.keys() - own.model_fields_set - but
    whole = own.model_copy(update={name: getattr(preferred, name) for name in missing})
    whole.model_fields_set.difference_update(missing)
    return whole


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


def _read(section: type[_Section], prefix: str | None = None) -> _Section:
    prefix = prefix or str(section.model_config["env_prefix"])
    secrets = os.environ.get("TIDINGS_SECRETS_DIR") or None
    if secrets is not None and not Path(secrets).is_dir():
        raise ConfigurationError(f"TIDINGS_SECRETS_DIR: {secrets} is not a folder")
    try:
        return section(
            _secrets_dir=secrets,
            _env_prefix=prefix,
            **secrets_in_files(section, os.environ, prefix),
        )
    except ValidationError as invalid:
        faults = (
            f"{prefix}{error['loc'][0] if error['loc'] else ''}".upper()
            + f": {error['msg'].removeprefix('Value error, ')}"
            for error in invalid.errors(include_input=False, include_url=False)
        )
        raise ConfigurationError("; ".join(faults)) from None
    except SettingsError as unreadable:
        raise ConfigurationError(_not_json(section, str(unreadable), prefix)) from None


def _not_json(section: type[BaseSettings], message: str, prefix: str) -> str:
    """pydantic-settings names the field and not the variable."""
    field = next(name for name in section.model_fields if f'"{name}"' in message)
    return f"{prefix}{field}".upper() + ": it is not JSON"
