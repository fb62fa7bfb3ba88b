"""Settings of webhooks: signing secrets and limits for receivers."""

from dataclasses import replace
from typing import Final

from pydantic import Field, SecretStr

from tidings.channels.settings import ChannelSettings
from tidings.delivery.circuit import CircuitPolicy
from tidings.delivery.delay import Delay
from tidings.runtime.environment.formats import Duration
from tidings.runtime.environment.reading import section

PROVIDER: Final = "webhook"
"""The name of every receiver in attempts."""


class WebhookSettings(ChannelSettings):
    """Signed HTTP POST."""

    model_config = section("TIDINGS_WEBHOOK_")

    enabled: bool = True
    """Whether webhooks are delivered, if a signing secret is set."""
    secret: SecretStr = SecretStr("")
    """Standard Webhooks signing secret, `whsec_…`; several, separated by spaces, during a rotation."""
    send_timeout: Duration = 15.0
    circuit_failures: int = Field(default=5, ge=0)
    """Webhooks in a row without a response from one receiver, after which no more are sent to it for `CIRCUIT_PROBE`,
    and longer each time, until one probes it again; the others wait in a retry queue and spend no attempt; 0: never.
    The circuit of the channel itself never opens because of a receiver."""
    circuit_share: float = Field(default=0.75, gt=0, le=1)
    """Ignored for webhooks: receivers that are down do not affect the others."""
    circuit_window: Duration = 60.0
    """Ignored for webhooks."""
    circuit_minimum: int = Field(default=20, ge=1)
    """Ignored for webhooks."""
    circuit_probe: Duration = 5.0
    """Time until a webhook probes a receiver that does not respond; doubled each time, up to 60 times as long."""
    allow_private: bool = False
    """Whether webhooks may be sent to loopback and private addresses."""
    max_response: int = Field(default=65_536, ge=0, le=10_485_760)
    """Bytes of a response that are read before the connection is closed."""

    @property
    def room_aside(self) -> int:
        """How many webhooks may wait for slow receivers, beyond `concurrency`."""
        return 2 * self.concurrency

    @property
    def first_tries(self) -> int:
        """How many first webhooks to untested receivers may be under way, beyond `concurrency`."""
        return 8 * self.concurrency

    @property
    def aside(self) -> int:
        """`room_aside`, as many that become late, half as many probes, the first tries, and as many as `concurrency`
        that wait for one of these."""
        return 2 * self.room_aside + self.room_aside // 2 + self.first_tries + self.concurrency

    @property
    def postponed(self) -> tuple[Delay, ...]:
        """For receivers that are slow but respond: after a minute all webhooks would return at once to a receiver
        that could have handled most of them meanwhile."""
        return tuple(map(Delay, (2, 5, 10, 20, 40)))

    @property
    def circuit(self) -> CircuitPolicy:
        """Never opened by failures: one receiver's failures don't concern the others."""
        return replace(super().circuit, failures=0)
