"""The JSON of rules of alerts and of what they sent."""

from typing import Any, Final
from uuid import UUID

from pydantic import AwareDatetime

from tidings.api.replies.notifications import ReplyModel
from tidings.api.replies.pages import PageReply


class AlertRuleReply(ReplyModel):
    """A rule of alerts."""

    id: UUID
    tenant: str
    """`*`: all tenants."""
    name: str
    state: str
    """`enabled`, `disabled`, or `failing`: its receiver takes no alert."""
    watch: str
    channel: str | None
    category: str | None
    reason: str | None
    fingerprint: str | None
    queue: str | None
    threshold: int
    window_seconds: int
    every_seconds: int
    remind_seconds: int
    """After which an alert comes again while nothing has changed; 0: never."""
    all_clear: bool
    """Whether it is told when something is over."""
    destination: str
    """Where its alerts go, masked."""
    created_by: str
    created_at: AwareDatetime
    updated_by: str
    updated_at: AwareDatetime
    last_alert_at: AwareDatetime | None
    waits_until: AwareDatetime | None
    """When it may alert again, if not now."""
    error: str | None
    """Why its last alert was not sent."""
    failing_since: AwareDatetime | None
    sha256: str
    """Another one after each change, for `based_on`."""


class AlertRulePageReply(PageReply[AlertRuleReply]):
    """Rules by name."""


class ResealedReply(ReplyModel):
    """URLs of receivers that were sealed anew."""

    resealed_count: int
    unopened_count: int
    """Those whose key is not there: they stay as they are, and send nothing."""


class SentAlertReply(ReplyModel):
    """An alert of a rule."""

    id: UUID
    at: AwareDatetime
    state: str
    """`sent` or `failed`."""
    test: bool
    """Whether a person asked for it."""
    actor: str
    title: str
    text: str
    answer: str | None
    """Of the receiver."""
    error: str | None
    """Why it was not sent."""
    duration_seconds: float


class SentAlertPageReply(PageReply[SentAlertReply]):
    """Alerts, newest first."""


ALERT_RULE: Final[dict[str, Any]] = {
    "id": "0198c2f4-5a10-7c3e-9d55-3f6f1a2b4c60",
    "tenant": "*",
    "name": "otp",
    "state": "enabled",
    "watch": "dead_letters",
    "channel": None,
    "category": "otp",
    "reason": None,
    "fingerprint": None,
    "queue": None,
    "threshold": 10,
    "window_seconds": 300,
    "every_seconds": 900,
    "remind_seconds": 14_400,
    "all_clear": True,
    "destination": "email to o…@example.com",
    "created_by": "api-key ops tk_live_4bF9xQ2m",
    "created_at": "2026-01-02T10:00:00+00:00",
    "updated_by": "api-key ops tk_live_4bF9xQ2m",
    "updated_at": "2026-01-02T10:00:00+00:00",
    "last_alert_at": "2026-03-02T09:30:00.031000+00:00",
    "waits_until": None,
    "error": None,
    "failing_since": None,
    "sha256": "f2ca1bb6c7e907d06dafe4687e579fce76b37e4e93b7605022da52e6ccc26fd2",
}
SENT_ALERT: Final[dict[str, Any]] = {
    "id": "0198c2f4-5a10-7c3e-9d55-3f6f1a2b4c61",
    "at": "2026-03-02T09:30:00.031000+00:00",
    "state": "sent",
    "test": True,
    "actor": "api-key ops tk_live_4bF9xQ2m",
    "title": "Tidings: test",
    "text": "This is a test by api-key ops tk_live_4bF9xQ2m. Nothing is wrong.\n\nRule otp",
    "answer": "published as notification 0198c2f4-5a10-7c3e-9d55-3f6f1a2b4c62",
    "error": None,
    "duration_seconds": 0.31,
}
