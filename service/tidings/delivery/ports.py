"""The seams: what delivery needs of the channels, and nothing of how they do it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, Protocol

from tidings.delivery.attempt import Attempt
from tidings.delivery.outcome import Sent
from tidings.delivery.recipients import RecipientResult
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


def _keep_its_place() -> None:
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
    give_way: Callable[[], None] = field(default=_keep_its_place, compare=False)
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


def labelled(provider: str, channel: str, findings: Sequence[Finding]) -> Sequence[Finding]:
    """Say of whom a finding is, and name this provider's own variables in what to do about it."""
    if provider == PRIMARY:
        return findings
    own = f"TIDINGS_{channel}_{provider}_".upper()
    return [
        replace(
            one,
            subject=f"{one.subject} ({provider})",
            remedy=one.remedy.replace(f"TIDINGS_{channel}_".upper(), own).replace(
                "TIDINGS_TWILIO_", own
            ),
        )
        for one in findings
    ]


@dataclass(frozen=True, slots=True)
class TemplateParts:
    """Which files of a template a channel reads, and where their text goes in `Content`."""

    required: Mapping[str, str] = field(default_factory=dict)
    """Part → field of `Content`, e.g. `{"subject": "subject", "text": "text"}`."""
    optional: Mapping[str, str] = field(default_factory=dict)


class Channel(Protocol):
    """Delivers by one medium. A file of its own in `channels/`; every one passes the same suite.

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
