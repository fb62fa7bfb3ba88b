"""The JSON of statistics."""

from typing import Any, Final

from pydantic import AwareDatetime

from tidings.api.replies.channels import ChannelReply
from tidings.api.replies.notifications import ReplyModel


class RatesReply(ReplyModel):
    """Outcomes of a period; a rate is null if there is nothing to divide by."""

    attempted: int
    """Notifications whose first attempt ended."""
    attempt_count: int
    retried: int
    finished: int
    """Ended, but not cancelled or suppressed."""
    succeeded: int
    failed: int
    p50_seconds: float | None
    """From accepted, or due, to sent."""
    p95_seconds: float | None
    p99_seconds: float | None
    outcomes: dict[str, int]
    attempts_per_notification: float | None
    success_rate: float | None
    failure_rate: float | None
    retry_rate: float | None
    attempt_success_rate: float | None
    """Of the attempts, those that delivered."""


class BucketReply(RatesReply):
    """A span of `bucket_seconds`."""

    since: AwareDatetime


class OpenReply(ReplyModel):
    """Open dead letters of a channel and reason."""

    channel: str | None
    reason: str
    count: int
    oldest_age_seconds: float


class QueueReply(ReplyModel):
    """A queue; null if it is missing or RabbitMQ is away."""

    queue: str
    purpose: str
    message_count: int | None
    consumer_count: int | None
    oldest_age_seconds: float | None
    """How long its oldest message has waited at most; null if none waits, or it is not known."""


class StatisticsReply(ReplyModel):
    """Statistics of a period; a part is null if the server that has it is away."""

    since: AwareDatetime | None
    until: AwareDatetime | None
    bucket_seconds: int | None
    counted_since: AwareDatetime | None
    """The first day that was counted."""
    total: RatesReply | None
    channels: dict[str, RatesReply] | None
    providers: dict[str, dict[str, RatesReply]] | None
    """By channel and `recorded_as` of `GET /v1/channels`. An attempt counts for the provider that it ended with."""
    error_classes: dict[str, int] | None
    buckets: list[BucketReply] | None
    dead_letters: list[OpenReply] | None
    scheduled_count: int | None
    overdue_count: int | None
    """Due for more than a minute."""
    oldest_due_seconds: float | None
    """Seconds since the first was due; negative if it is yet to be."""
    queues: list[QueueReply] | None
    not_delivering: list[ChannelReply]
    server_errors: list[str]
    """Servers that are away."""


_RATES: Final[dict[str, Any]] = {
    "attempted": 1200,
    "attempt_count": 1260,
    "retried": 60,
    "finished": 1200,
    "succeeded": 1188,
    "failed": 12,
    "p50_seconds": 0.21,
    "p95_seconds": 1.4,
    "p99_seconds": 31.0,
    "outcomes": {"rejected": 12, "retry_later": 60, "sent": 1188},
    "attempts_per_notification": 1.05,
    "success_rate": 0.99,
    "failure_rate": 0.01,
    "retry_rate": 0.05,
    "attempt_success_rate": 0.943,
}
EXAMPLE_STATISTICS: Final[dict[str, Any]] = {
    "since": "2026-11-29T17:00:00Z",
    "until": "2026-11-29T17:01:00Z",
    "bucket_seconds": 60,
    "counted_since": "2026-11-01T00:00:00Z",
    "total": _RATES,
    "channels": {"email": _RATES},
    "providers": {"email": {"smtp:smtp.example.com": _RATES}},
    "error_classes": {"unavailable": 60, "rejected": 12},
    "buckets": [{"since": "2026-11-29T17:00:00Z", **_RATES}],
    "dead_letters": [
        {"channel": "email", "reason": "rejected", "count": 12, "oldest_age_seconds": 3.5}
    ],
    "scheduled_count": 0,
    "overdue_count": 0,
    "oldest_due_seconds": None,
    "queues": [
        {
            "queue": "tidings.email.high",
            "purpose": "high email",
            "message_count": 3,
            "consumer_count": 2,
            "oldest_age_seconds": 0.4,
        }
    ],
    "not_delivering": [],
    "server_errors": [],
}
