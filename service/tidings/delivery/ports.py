"""The seams: what delivery needs of broker, ledger, channels and clock, and nothing of how they do it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from tidings.delivery.attempt import Attempt, Message
from tidings.delivery.orders import CircuitReport, Order
from tidings.delivery.outcome import Claim, Outcome, RetryLater, Sent, Undeliverable
from tidings.delivery.provider_attempt import ProviderAttempt
from tidings.delivery.recipients import RecipientResult
from tidings.delivery.states import State
from tidings.delivery.value import value
from tidings_events import Notification

PRIMARY: Final = "primary"
"""The provider that a channel's own settings lead to."""


@value(frozen=True, slots=True)
class Content:
    """The words to deliver, whether the producer wrote them or a template did."""

    text: str = ""
    subject: str = ""
    html: str | None = None


def keep_slot() -> None:
    """Nobody else waits for it."""


@value(frozen=True, slots=True)
class SendRequest:
    """One attempt, ready to be sent."""

    attempt: Attempt
    content: Content
    timeout: float
    """Seconds within which `Channel.send` has to return or raise."""
    recipients: tuple[RecipientResult, ...] = ()
    """What earlier attempts settled of each recipient: only the others are asked."""
    release_slot: Callable[[], None] = field(default=keep_slot, compare=False)
    """Lets another notification be sent in its place while this one waits for its receiver; again does nothing."""

    @property
    def notification(self) -> Notification:
        """What is to be delivered."""
        return self.attempt.notification

    @property
    def key(self) -> str:
        """Names this epoch of this notification to the provider, the same on every retry."""
        return f"{self.attempt.id}.{self.attempt.epoch}"


class Verdict(StrEnum):
    """How a check turned out."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `tidings doctor`: what was checked, what was found, what to do about it."""

    subject: str
    verdict: Verdict
    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class TemplateParts:
    """Which files of a template a channel reads, and where their text goes in `Content`."""

    required: Mapping[str, str] = field(default_factory=dict)
    """Part → field of `Content`, e.g. `{"subject": "subject", "text": "text"}`."""
    optional: Mapping[str, str] = field(default_factory=dict)


class Channel(Protocol):
    """Delivers by one medium. A package in `channels/` that exports a `ChannelSpec`; each passes the same suite.

    `send` ends by itself within `request.timeout` seconds. It raises only `DeliveryError`s and
    `asyncio.CancelledError`: `Unavailable` where the payload had not gone out when time ran out,
    `OutcomeUnknown` where it had. A cancelled or failed send leaves nothing behind that would
    harm the next one.
    """

    name: str
    template_parts: TemplateParts

    async def send(self, request: SendRequest) -> Sent:
        """Deliver, once."""
        ...

    async def check(self) -> Sequence[Finding]:
        """Try the provider without sending anything: reachable, credentials accepted."""
        ...

    async def close(self) -> None:
        """Give back connections; nothing is sent afterwards."""
        ...


@value(frozen=True, slots=True)
class ClaimRequest:
    """An attempt that a worker wants to make."""

    attempt: Attempt
    token: str
    """Names this one handling of this one message: asked again after a lost reply, it is still ours."""
    lease: float
    """Seconds for which nobody else may send it."""
    expires_at: datetime | None


@value(frozen=True, slots=True)
class Record:
    """What became of one attempt."""

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
        """Every provider's part in it, where there are several."""
        match self.outcome:
            case Sent(provider_attempts=provider_attempts):
                return provider_attempts
            case RetryLater(failure=failure) | Undeliverable(failure=failure):
                return failure.provider_attempts

    @property
    def recipients(self) -> tuple[RecipientResult, ...]:
        """What it settled of each recipient, where they did not all fare alike."""
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
    """Remembers every attempt: what is claimed for it, what became of it, what operators order."""

    @property
    def actor(self) -> str:
        """Names this process in leases and history, unlike any other."""
        ...

    @property
    def controls(self) -> "Controls":
        """Between operators and workers."""
        ...

    def claim(self, request: ClaimRequest) -> Awaitable[Claim]:
        """Take a notification under a lease.

        Raises:
            LedgerUnavailable: It can't be reached; ask again.
        """
        ...

    def record(self, record: Record) -> Awaitable[bool]:
        """Store an attempt and its notification's new state; False if the lease had been lost.

        Raises:
            LedgerUnavailable: It can't be reached; submit it again.
        """
        ...

    async def release(self, attempt: Attempt, token: str, why: str) -> None:
        """Give a claim back, no attempt spent."""
        ...


class Controls(Protocol):
    """Operators' orders, and the circuits that workers find not closed."""

    async def orders(self) -> Sequence[Order]:
        """The last order for each channel and each provider."""
        ...

    async def say(self, worker: str, found: Sequence[CircuitReport]) -> None:
        """All circuits of this worker that are not closed, now."""
        ...


class Delivery(Protocol):
    """A message in hand: the broker keeps it until `ack`."""

    @property
    def message(self) -> Message:
        """Body, headers and properties."""
        ...

    @property
    def queue(self) -> str:
        """The queue that it was taken from."""
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
        """When it was taken, in seconds of `Clock.seconds`."""
        ...

    @property
    def lane_empty(self) -> float | None:
        """When its queue was last known to be empty, on the same clock; None if that is not known."""
        ...

    @property
    def large(self) -> bool:
        """Whether it takes of the room that all messages in hand share."""
        ...

    @property
    def alive(self) -> bool:
        """Whether it is still ours to settle; if not, the broker delivers it again."""
        ...

    def ack(self) -> None:
        """Settle it: the broker forgets it. Settling twice changes nothing."""
        ...

    def give_back(self) -> None:
        """Have it delivered again, counted against the queue's delivery limit."""
        ...


class Publisher(Protocol):
    """Hands messages to the broker."""

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
            BrokerUnavailable: It is not confirmed. It may have landed all the same.
        """
        ...


class Clock(Protocol):
    """What time it is."""

    def now(self) -> datetime:
        """The time of day, by which notifications expire."""
        ...

    def seconds(self) -> float:
        """Seconds since some moment, never set back: for waits, rates and durations."""
        ...
