"""The JSON of lists of notifications, and of decisions."""

from typing import Any, Final
from uuid import UUID

from pydantic import AwareDatetime

from tidings.api.replies.notifications import EXAMPLE, ReplyModel, SummaryReply
from tidings.api.replies.pages import EXAMPLE_CURSOR, PageReply


class NotificationPageReply(PageReply[SummaryReply], use_attribute_docstrings=True):
    """Notifications, newest first."""

    searched_since: AwareDatetime | None
    """Older ones were not looked at yet; null if the page is full or the end was reached."""


class DecisionReply(ReplyModel):
    """A decision about a notification."""

    decision: str
    """`send`, `skip` or `defer`."""
    rule: str
    """The rule that decided, e.g. `schedule`, `idempotency_key`, `retry_policy`, `exhausted`."""
    explanation: str
    decided_at: AwareDatetime | None
    """Null if it still may change."""
    decided_by: str | None
    """A process, a person or a key."""
    due_at: AwareDatetime | None
    """When it is sent, if that is known."""
    duplicate_of: UUID | None
    """The notification that it repeats."""


class WhyReply(DecisionReply):
    """The decision about one notification."""

    id: UUID
    state: str | None
    """Null if its message never became a notification."""


class ExplainReply(DecisionReply):
    """What would happen to a notification."""

    also: list[DecisionReply]
    """What else would keep it, if the first decision did not."""
    channel: str
    priority: str
    tenant: str
    category: str
    queue: str
    guarantee: str
    """`at_least_once` or `at_most_once`."""
    retry_delays_seconds: list[int]
    """After each failed attempt; as many retries at most."""
    expires_at: AwareDatetime | None


_SUMMARY: Final = {name: EXAMPLE[name] for name in SummaryReply.model_fields if name in EXAMPLE}
EXAMPLE_PAGE: Final[dict[str, Any]] = {
    "data": [_SUMMARY],
    "next_cursor": EXAMPLE_CURSOR,
    "searched_since": None,
}
EXAMPLE_WHY: Final[dict[str, Any]] = {
    "id": EXAMPLE["id"],
    "state": "retrying",
    "decision": "defer",
    "rule": "retry_policy",
    "explanation": "attempt 1 failed: unavailable · 451 · greylisted",
    "decided_at": "2026-11-29T17:31:02Z",
    "decided_by": "worker web-1:4242:7f3a21",
    "due_at": "2026-11-29T17:33:02Z",
    "duplicate_of": None,
}
EXAMPLE_EXPLAIN: Final[dict[str, Any]] = {
    "decision": "send",
    "rule": "lane",
    "explanation": "a worker sends it from tidings.email.normal",
    "decided_at": None,
    "decided_by": None,
    "due_at": None,
    "duplicate_of": None,
    "also": [],
    "channel": "email",
    "priority": "normal",
    "tenant": "default",
    "category": "receipt",
    "queue": "tidings.email.normal",
    "guarantee": "at_least_once",
    "retry_delays_seconds": [5, 30, 120],
    "expires_at": None,
}
