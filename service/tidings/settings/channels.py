"""What a channel can be told: pace, retries, circuit, and what its own medium needs."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from tidings.delivery.circuit import CircuitPolicy
from tidings.delivery.delay import Delay
from tidings.delivery.retry_policy import Guarantee, RetryPolicy
from tidings.settings.fallbacks import Fallbacks
from tidings.settings.reading import section
from tidings.settings.written import Delays, Duration, Rate

DEFAULT_RETRY: Final = RetryPolicy.exponential(initial=60, multiplier=2, maximum=1800, count=6)


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
    def put_off(self) -> tuple[Delay, ...]:
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
            places=self.concurrency,
        )


class EmailSettings(ChannelSettings):
    """Email through an SMTP relay."""

    model_config = section("TIDINGS_EMAIL_")

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
    connections: int = Field(default=20, ge=1, le=500)
    """SMTP connections at most; where the relay takes fewer, so many."""
    messages_per_connection: int = Field(default=500, ge=1)
    """Messages after which a connection is renewed."""
    pipelining: bool = True
    """Whether commands go together to a relay that offers it (RFC 2920); `false` for one that offers it, and
    then loses some."""
    fallbacks: Fallbacks = ()
    """Names of further relays, in order of preference, e.g. `backup`: each with variables of its own, such
    as `TIDINGS_EMAIL_<NAME>_HOST`."""


class TwilioSettings(BaseSettings):
    """The Twilio account that SMS and WhatsApp share."""

    model_config = section("TIDINGS_TWILIO_")

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

    model_config = section("TIDINGS_SMS_")

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

    model_config = section("TIDINGS_WHATSAPP_")

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

    model_config = section("TIDINGS_WEBHOOK_")

    enabled: bool = True
    """Whether webhooks are delivered, where there is a secret to sign them with."""
    secret: SecretStr = SecretStr("")
    """Standard Webhooks signing secret, `whsec_…`; several separated by spaces while rotating."""
    send_timeout: Duration = 15.0
    circuit_failures: int = Field(default=5, ge=0)
    """Webhooks in a row that one receiver leaves unanswered, after which it rests for `circuit_probe`, and longer each
    time, before one of them tries it again; the others to it wait in a retry queue, with no attempt spent; 0: never.
    The channel itself never rests for a receiver."""
    circuit_share: float = Field(default=0.75, gt=0, le=1)
    """Of no use for webhooks: a share of them may be for receivers that are down, and no other waits for that."""
    circuit_window: Duration = 60.0
    """Of no use for webhooks, likewise."""
    circuit_minimum: int = Field(default=20, ge=1)
    """Of no use for webhooks, likewise."""
    circuit_probe: Duration = 5.0
    """How long a receiver rests that leaves webhooks unanswered, until one of them tries it; twice as long each time,
    up to 60 times."""
    allow_private: bool = False
    """Whether a webhook may go to loopback and private addresses."""
    max_response: int = Field(default=65_536, ge=0, le=10_485_760)
    """Bytes of a reply that are read before the connection is closed."""

    @property
    def room_aside(self) -> int:
        """How many webhooks may wait for receivers that don't answer soon, beyond `concurrency`."""
        return 2 * self.concurrency

    @property
    def first_tries(self) -> int:
        """How many may be aside beside them that are the first to receivers of which nothing is known."""
        return 8 * self.concurrency

    @property
    def aside(self) -> int:
        """Those, as many again that turn out late, half as many that are asked whether they answer again, and as many
        as `concurrency` that wait until one may."""
        return 2 * self.room_aside + self.room_aside // 2 + self.first_tries + self.concurrency

    @property
    def put_off(self) -> tuple[Delay, ...]:
        """For receivers that are slow and well: a minute would bring all back at once to one that could have
        answered most of them meanwhile."""
        return tuple(map(Delay, (2, 5, 10, 20, 40)))

    @property
    def circuit(self) -> CircuitPolicy:
        """Never opened by failures: one receiver says nothing of the others."""
        return replace(super().circuit, failures=0)


CHANNEL_SECTIONS: Final[dict[str, type[ChannelSettings]]] = {
    "email": EmailSettings,
    "sms": SmsSettings,
    "whatsapp": WhatsAppSettings,
    "webhook": WebhookSettings,
}

TWILIO_CHANNELS: Final = frozenset({"sms", "whatsapp"})
