"""The ports: what delivery needs from broker, ledger, channels and clock, as protocols."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from tidings.delivery.attempt import Attempt, Message
from tidings.delivery.orders import CircuitReport, Order, SentThrough
from tidings.delivery.outcome import Claim, Outcome, RetryLater, Sent, Undeliverable
from tidings.delivery.provider_attempt import ProviderAttempt
from tidings.delivery.recipients import RecipientResult
from tidings.delivery.states import State
from tidings.delivery.value import value
from tidings_events import Notification

PRIMARY: Final = "primary"
"""The provider in a channel's own settings; the others are fallbacks."""


@value(frozen=True, slots=True)
class Content:
    """The content to deliver, written by the producer or rendered from a template."""

    text: str = ""
    subject: str = ""
    html: str | None = None


def keep_slot() -> None:
    """The default of `SendRequest.release_slot`: nothing to release."""


@value(frozen=True, slots=True)
class SendRequest:
    """One attempt, ready to be sent."""

    attempt: Attempt
    content: Content
    timeout: float
    """Seconds within which `Channel.send` has to return or raise."""
    recipients: tuple[RecipientResult, ...] = ()
    """The results of earlier attempts for each recipient: it is sent to the unsettled ones only."""
    release_slot: Callable[[], None] = field(default=keep_slot, compare=False)
    """Releases the send slot to another notification while this one waits for its receiver; idempotent."""

    @property
    def notification(self) -> Notification:
        """The notification to deliver."""
        return self.attempt.notification

    @property
    def key(self) -> str:
        """The idempotency key for the provider: the same on every retry of an epoch."""
        return f"{self.attempt.id}.{self.attempt.epoch}"


class Verdict(StrEnum):
    """The result of a check."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `tidings doctor`: subject, result, remedy."""

    subject: str
    verdict: Verdict
    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class TemplateParts:
    """The template files that a channel reads, and the fields of `Content` that they fill."""

    required: Mapping[str, str] = field(default_factory=dict)
    """Part → field of `Content`, e.g. `{"subject": "subject", "text": "text"}`."""
    optional: Mapping[str, str] = field(default_factory=dict)


class Channel(Protocol):
    """Delivers by one medium. A package in `channels/` that exports a `ChannelSpec`; each passes the same suite.

    `send` ends by itself within `request.timeout` seconds. It raises only `DeliveryError`s and
    `asyncio.CancelledError`: `Unavailable` if the payload had not been sent when time ran out,
    `OutcomeUnknown` if it had. A cancelled or failed send leaves nothing behind that would
    harm the next one.
    """

    name: str
    template_parts: TemplateParts

    async def send(self, request: SendRequest) -> Sent:
        """Deliver, once."""
        ...

    async def check(self) -> Sequence[Finding]:
        """Check the provider without sending anything: reachable, credentials accepted."""
        ...

    async def close(self) -> None:
        """Close connections; nothing is sent afterwards."""
        ...


@value(frozen=True, slots=True)
class ClaimRequest:
    """An attempt that a worker wants to make."""

    attempt: Attempt
    token: str
    """Identifies this handling of this message, so that a claim can be repeated after a lost reply."""
    lease: float
    """Seconds for which no other worker may send it."""
    expires_at: datetime | None


@value(frozen=True, slots=True)
class Record:
    """The outcome of one attempt."""

    attempt: Attempt
    token: str
    """The claim's."""
    outcome: Outcome
    started_at: datetime
    duration: float
    """Seconds."""
    possible_duplicate: bool = False

    @property
    def provider_attempts(self) -> tuple[ProviderAttempt, ...]:
        """One for each provider, if the channel has several."""
        match self.outcome:
            case Sent(provider_attempts=provider_attempts):
                return provider_attempts
            case RetryLater(failure=failure) | Undeliverable(failure=failure):
                return failure.provider_attempts

    @property
    def recipients(self) -> tuple[RecipientResult, ...]:
        """The result of each recipient, if they differ."""
        match self.outcome:
            case Sent(recipients=results):
                return results
            case RetryLater(failure=failure) | Undeliverable(failure=failure):
                return failure.recipients

    @property
    def state(self) -> State:
        """The state that the outcome leads to."""
        match self.outcome:
            case Sent():
                return State.SENT
            case RetryLater():
                return State.RETRYING
            case Undeliverable(reason=reason):
                return reason.state


class Ledger(Protocol):
    """Stores claims, outcomes and operators' orders."""

    @property
    def actor(self) -> str:
        """Names this process in leases and history, unlike any other."""
        ...

    @property
    def controls(self) -> "Controls":
        """Operators' orders to workers, and workers' reports to operators."""
        ...

    def claim(self, request: ClaimRequest) -> Awaitable[Claim]:
        """Take a notification under a lease.

        Raises:
            LedgerUnavailable: It can't be reached; claim again.
        """
        ...

    def record(self, record: Record) -> Awaitable[bool]:
        """Store an attempt and its notification's new state; False if the lease had been lost.

        Raises:
            LedgerUnavailable: It can't be reached; record again.
        """
        ...

    async def release(self, attempt: Attempt, token: str, why: str) -> None:
        """Release a claim; no attempt is spent."""
        ...


class Controls(Protocol):
    """Operators' orders, and workers' circuits that are not closed."""

    async def orders(self) -> Sequence[Order]:
        """The latest order for each channel and each provider."""
        ...

    async def report_circuits(
        self, worker: str, found: Sequence[CircuitReport], sent: Sequence[SentThrough] = ()
    ) -> None:
        """Replace the reported circuits of this worker that are not closed; `sent`: where it sent since the last report."""
        ...


class Delivery(Protocol):
    """A message delivered by RabbitMQ, which keeps it until `ack`."""

    @property
    def message(self) -> Message:
        """Body, headers and properties."""
        ...

    @property
    def queue(self) -> str:
        """The queue that it was consumed from."""
        ...

    @property
    def exchange(self) -> str:
        """The exchange that it was published to; empty if the broker doesn't say."""
        ...

    @property
    def redelivered(self) -> bool:
        """Whether it was delivered before."""
        ...

    @property
    def tag(self) -> int:
        """Its number on the channel that delivered it; another channel counts from 1 again."""
        ...

    @property
    def received(self) -> float:
        """When it was received, in seconds of `Clock.seconds`."""
        ...

    @property
    def lane_empty(self) -> float | None:
        """When its queue was last known to be empty, on the same clock; None if that is not known."""
        ...

    @property
    def large(self) -> bool:
        """Whether it counts against the memory limit of unacknowledged messages."""
        ...

    @property
    def alive(self) -> bool:
        """Whether it can still be acknowledged; if not, the broker delivers it again."""
        ...

    def ack(self) -> None:
        """Settle it: the broker forgets it. Settling twice changes nothing."""
        ...

    def requeue(self) -> None:
        """Return it to its queue, counted against the queue's delivery limit."""
        ...


class Publisher(Protocol):
    """Publishes messages."""

    async def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        headers: Mapping[str, str | int],
        content_type: str = "application/json",
    ) -> None:
        """Publish one message, persistent and mandatory, and return once the broker has confirmed it.

        Raises:
            BrokerUnavailable: It is not confirmed. It may have been stored all the same.
        """
        ...


class Clock(Protocol):
    """Time of day and a monotonic clock."""

    def now(self) -> datetime:
        """The time of day, by which notifications expire."""
        ...

    def seconds(self) -> float:
        """Seconds of a monotonic clock: for waits, rates and durations."""
        ...
