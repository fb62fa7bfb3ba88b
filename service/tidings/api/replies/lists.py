"""The JSON of lists of notifications, and of decisions."""

from typing import Any, Final
from uuid import UUID

from pydantic import AwareDatetime

from tidings.api.replies.notifications import EXAMPLE, ReplyModel, SummaryReply


class PageReply(ReplyModel):
    """Notifications, newest first."""

    data: list[SummaryReply]
    next_cursor: str | None
    """Leads to the next page; null at the end."""
    searched_since: AwareDatetime | None
    """Older ones were not looked at yet; null if the page is full or the end was reached."""


class DecisionReply(ReplyModel):
    """A decision about a notification."""

    decision: str
    """`send`, `skip` or `defer`."""
    rule: str
    """The rule that decided, e.g. `schedule`, `idempotency_key`, `retry_policy`, `exhausted`."""
    explanation: str
    at: AwareDatetime | None
    by: str | None
    """Who decided: a process, a person, a key."""
    until: AwareDatetime | None
    """When it is sent, if that is known."""
    related: UUID | None
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
    retry_delays: list[int]
    """Seconds after each failed attempt; as many retries at most."""
    expires_at: AwareDatetime | None


_SUMMARY: Final = {name: EXAMPLE[name] for name in SummaryReply.model_fields if name in EXAMPLE}
EXAMPLE_PAGE: Final[dict[str, Any]] = {
    "data": [_SUMMARY],
    "next_cursor": "AQAGRK8n3_1AAZjC9FoQfD6dVT9vGitMXWq4rK2mJ0xgd9sZ",
    "searched_since": None,
}
EXAMPLE_WHY: Final[dict[str, Any]] = {
    "id": EXAMPLE["id"],
    "state": "retrying",
    "decision": "defer",
    "rule": "retry_policy",
    "explanation": "attempt 1 failed: unavailable · 451 · greylisted",
    "at": "2026-11-29T17:31:02Z",
    "by": "worker web-1:4242:7f3a21",
    "until": "2026-11-29T17:33:02Z",
    "related": None,
}
EXAMPLE_EXPLAIN: Final[dict[str, Any]] = {
    "decision": "send",
    "rule": "lane",
    "explanation": "a worker sends it from tidings.email.normal",
    "at": None,
    "by": None,
    "until": None,
    "related": None,
    "also": [],
    "channel": "email",
    "priority": "normal",
    "tenant": "default",
    "category": "receipt",
    "queue": "tidings.email.normal",
    "guarantee": "at_least_once",
    "retry_delays": [5, 30, 120],
    "expires_at": None,
}
