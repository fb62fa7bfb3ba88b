"""The JSON of channels and of checks."""

from pydantic import AwareDatetime

from tidings.api.replies.notifications import ReplyModel
from tidings.api.replies.pages import PageReply


class ChannelReply(ReplyModel):
    """Status of a channel, or of one of its providers."""

    channel: str
    provider: str | None
    """Null: the channel itself."""
    state: str
    """`delivering`, `no_worker`, `suspended`, `paused`, `disabled`, `down` or `recovering`."""
    since: AwareDatetime | None
    reason: str | None
    worker_count: int
    """Workers that report this state…"""
    serving_count: int
    """… of those that serve the channel."""
    probe_at: AwareDatetime | None
    """When the next notification probes it."""
    recorded_as: str | None
    """The provider's name in attempts, statistics and filters; null for the channel itself. Two may share it."""


class ChannelPageReply(PageReply[ChannelReply]):
    """Every channel, followed by its providers, in one page."""


class OrderReply(ReplyModel):
    """The result of an order; workers follow it within about a second."""

    channel: str
    provider: str | None
    """Null: the channel itself."""
    changed: bool


class FindingReply(ReplyModel):
    """One check."""

    subject: str
    verdict: str
    """`ok`, `warning` or `fault`."""
    detail: str
    remedy: str | None


class HealthReply(ReplyModel):
    """What `tidings doctor` finds in the process that answers."""

    healthy: bool
    """Whether there is no fault."""
    findings: list[FindingReply]
