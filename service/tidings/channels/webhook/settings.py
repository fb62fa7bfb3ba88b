"""Webhooks' settings: the secret they are signed with, and how receivers are treated."""

from dataclasses import replace

from pydantic import Field, SecretStr

from tidings.channels.settings import ChannelSettings
from tidings.delivery.circuit import CircuitPolicy
from tidings.delivery.delay import Delay
from tidings.runtime.environment.formats import Duration
from tidings.runtime.environment.reading import section


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
    def deferred(self) -> tuple[Delay, ...]:
        """For receivers that are slow and well: a minute would bring all back at once to one that could have
        answered most of them meanwhile."""
        return tuple(map(Delay, (2, 5, 10, 20, 40)))

    @property
    def circuit(self) -> CircuitPolicy:
        """Never opened by failures: one receiver says nothing of the others."""
        return replace(super().circuit, failures=0)
