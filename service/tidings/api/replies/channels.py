"""The JSON of channels and of checks."""

from pydantic import AwareDatetime, BaseModel, ConfigDict


class OperatorReply(BaseModel):
    """A documented reply: it has these fields and no others."""

    model_config = ConfigDict(extra="forbid")


class ChannelReply(OperatorReply):
    """Status of a channel, or of one of its providers."""

    channel: str
    provider: str
    """Empty: the channel itself."""
    state: str
    """`delivering`, `no worker`, `suspended`, `paused`, `disabled`, `down` or `recovering`."""
    since: AwareDatetime | None
    reason: str
    workers: int
    """Workers that report this state…"""
    serving: int
    """… of those that serve the channel."""
    probe_at: AwareDatetime | None
    """When the next notification probes it."""


class ChannelsReply(OperatorReply):
    """Every channel, followed by its providers."""

    channels: list[ChannelReply]


class OrderReply(OperatorReply):
    """The result of an order; workers follow it within about a second."""

    channel: str
    provider: str
    """Empty: the channel itself."""
    changed: bool


class FindingReply(OperatorReply):
    """One check."""

    subject: str
    verdict: str
    """`ok`, `warning` or `fault`."""
    detail: str
    remedy: str


class HealthReply(OperatorReply):
    """What `tidings doctor` finds in the process that answers."""

    healthy: bool
    """Whether there is no fault."""
    findings: list[FindingReply]
