"""The JSON of dead letters."""

from typing import Any, Final
from uuid import UUID

from pydantic import AwareDatetime

from tidings.api.replies.notifications import RecipientReply, ReplyModel, TransitionReply
from tidings.api.replies.pages import PageReply
from tidings.delivery.dead_letter import DeadLetterState
from tidings.delivery.outcome import Reason


class DeadLetterReply(ReplyModel):
    """A dead letter."""

    id: UUID
    notification_id: UUID | None
    epoch: int
    state: DeadLetterState
    reason: Reason
    fingerprint: str
    """The same for dead letters with the same cause."""
    channel: str | None
    priority: str | None
    tenant: str | None
    test: bool
    """Whether its notification was a test."""
    category: str | None
    recipient: str | None
    user_id: str | None
    entity_type: str | None
    entity_id: str | None
    attempt_count: int
    first_failed_at: AwareDatetime
    last_failed_at: AwareDatetime
    dead_lettered_at: AwareDatetime
    exchange: str
    routing_key: str
    content_type: str | None
    headers: dict[str, Any]
    properties: dict[str, str]
    updated_at: AwareDatetime
    updated_by: str | None
    note: str | None
    noted_by: str | None
    """The person whose note it is; null if Tidings wrote it."""
    noted_at: AwareDatetime | None
    supersedes: UUID | None
    """The dead letter that it replaces, edited."""
    replay_epoch: int | None
    replayed_at: AwareDatetime | None
    size_bytes: int
    """Of its body."""
    source: str
    """The queue it was in, or the key it was published with."""
    error_class: str
    error_message: str
    provider: str
    error_code: str


class GroupNoteReply(ReplyModel):
    """A note on a group of dead letters."""

    tenant: str
    """Whose group it is about; `*`: that of all tenants together."""
    note: str
    noted_by: str
    noted_at: AwareDatetime


class GroupOwnerReply(ReplyModel):
    """Who takes care of a group of dead letters."""

    tenant: str
    """Whose group it is; `*`: that of all tenants together."""
    owner: str
    set_by: str
    set_at: AwareDatetime


class OwnedGroupReply(GroupOwnerReply):
    """A group with its owner."""

    fingerprint: str


class NotedGroupReply(GroupNoteReply):
    """A group with its note."""

    fingerprint: str


class DeadLetterDetailsReply(DeadLetterReply):
    """A dead letter in full."""

    recipient_results: list[RecipientReply]
    group_notes: list[GroupNoteReply]
    """Notes on its group."""
    history: list[TransitionReply]
    """The changes of its notification's state."""
    outline: Any
    """Its body as JSON, with people masked and content left out; null if it is no JSON, or revealed."""
    problems: list[str]
    """Why its body can't be read as a notification."""
    not_replayable_reason: str | None
    """Why a replay would leave it alone."""
    body_sha256: str
    """Of its body: an edit may name the one that it is based on."""
    body_text: str | None
    """Only with `reveal`."""
    body_base64: str | None
    """The same, byte for byte."""


class DeadLetterPageReply(PageReply[DeadLetterReply]):
    """Dead letters, newest first."""


class TrendReply(ReplyModel):
    """How many dead letters came in each hour or day, whatever became of them."""

    since: AwareDatetime
    """Where the first bucket begins."""
    bucket_seconds: int
    """An hour, or a day of UTC."""
    counts: list[int]
    """One for each bucket, in order."""


class DeadLetterGroupReply(ReplyModel):
    """Dead letters with the same cause."""

    fingerprint: str
    count: int
    channel: str | None
    reason: Reason
    error_class: str
    error_code: str
    error_message: str
    """Of the newest."""
    first_at: AwareDatetime
    """When the oldest was dead-lettered; the beginning of that hour if more than 200 of it are closed."""
    last_at: AwareDatetime
    """When the newest was."""
    example_id: UUID
    """The newest."""
    trend: TrendReply
    notes: list[GroupNoteReply]
    """At most one of each tenant, and one of all tenants together."""
    owners: list[GroupOwnerReply]
    """Likewise."""


class DeadLetterGroupPageReply(PageReply[DeadLetterGroupReply], use_attribute_docstrings=True):
    """Groups, the largest first."""

    searched_since: AwareDatetime | None
    """Dead letters that came before were not looked at, and are not counted; null if all were."""


DEAD_LETTER: Final[dict[str, Any]] = {
    "id": "4abec5cb-6200-54aa-b16f-31af10cd322a",
    "notification_id": "0198c2f4-5a10-7c3e-9d55-3f6f1a2b4c5d",
    "epoch": 0,
    "state": "open",
    "reason": "rejected",
    "fingerprint": "6b1f03c2a9d4",
    "channel": "email",
    "priority": "normal",
    "tenant": "shop",
    "test": False,
    "category": "receipt",
    "recipient": "j…@example.com",
    "user_id": "u-17",
    "entity_type": "order",
    "entity_id": "10042",
    "attempt_count": 1,
    "first_failed_at": "2026-11-29T17:31:02Z",
    "last_failed_at": "2026-11-29T17:31:02Z",
    "dead_lettered_at": "2026-11-29T17:31:02.4Z",
    "exchange": "tidings.notifications",
    "routing_key": "email.normal",
    "content_type": "application/json",
    "headers": {"timestamp_in_ms": 1796059861000},
    "properties": {"app_id": "shop"},
    "updated_at": "2026-11-29T17:31:02.4Z",
    "updated_by": None,
    "note": None,
    "noted_by": None,
    "noted_at": None,
    "supersedes": None,
    "replay_epoch": None,
    "replayed_at": None,
    "size_bytes": 214,
    "source": "tidings.email.normal",
    "error_class": "rejected",
    "error_message": "no such mailbox",
    "provider": "smtp:relay.example.com",
    "error_code": "550 5.1.1",
}
DEAD_LETTER_DETAILS: Final[dict[str, Any]] = {
    **DEAD_LETTER,
    "recipient_results": [],
    "group_notes": [],
    "history": [
        {
            "epoch": 0,
            "at": "2026-11-29T17:31:02Z",
            "before": "sending",
            "after": "failed",
            "actor": "worker web-1:4242:7f3a91",
            "reason": "rejected",
            "step": 3,
        }
    ],
    "outline": {"channel": "email", "recipient": "j…@example.com"},
    "problems": [],
    "not_replayable_reason": None,
    "body_sha256": "f2ca1bb6c7e907d06dafe4687e579fce76b37e4e93b7605022da52e6ccc26fd2",
    "body_text": None,
    "body_base64": None,
}
DISCARDED: Final = {
    **DEAD_LETTER,
    "state": "discarded",
    "note": "test data",
    "updated_at": "2026-11-29T18:02:11Z",
    "updated_by": "api-key ops tk_live_4bF9xQ2m (request 4bf92f35)",
}
ANNOTATED: Final = {
    **DEAD_LETTER,
    "note": "asked the customer for the new address",
    "noted_by": "api-key ops tk_live_4bF9xQ2m (request 4bf92f35)",
    "noted_at": "2026-11-29T18:02:11Z",
    "updated_at": "2026-11-29T18:02:11Z",
    "updated_by": "api-key ops tk_live_4bF9xQ2m (request 4bf92f35)",
}
EDITED: Final = {
    **DEAD_LETTER,
    "id": "b0f8ec44-1d0f-5f7a-8c5e-2f3f6a7b8c9d",
    "recipient": "a…@example.com",
    "supersedes": DEAD_LETTER["id"],
}
GROUP_NOTE: Final = {
    "tenant": "shop",
    "note": "the relay's new certificate, ticket 4711",
    "noted_by": "api-key ops tk_live_4bF9xQ2m (request 4bf92f35)",
    "noted_at": "2026-11-29T17:00:00Z",
}
GROUP_OWNER: Final = {
    "tenant": "shop",
    "owner": "jane",
    "set_by": "api-key shop-prod tk_live_4bF9xQ2m (request 4bf92f35)",
    "set_at": "2026-11-29T17:40:00Z",
}
GROUP: Final[dict[str, Any]] = {
    "fingerprint": "6b1f03c2a9d4",
    "count": 12,
    "channel": "email",
    "reason": "rejected",
    "error_class": "rejected",
    "error_code": "550 5.1.1",
    "error_message": "no such mailbox",
    "first_at": "2026-11-28T09:12:44Z",
    "last_at": "2026-11-29T17:31:02Z",
    "example_id": DEAD_LETTER["id"],
    "trend": {
        "since": "2026-11-29T15:00:00Z",
        "bucket_seconds": 3600,
        "counts": [2, 0, 5],
    },
    "notes": [GROUP_NOTE],
    "owners": [GROUP_OWNER],
}
NOTED_GROUP: Final = {"fingerprint": GROUP["fingerprint"], **GROUP_NOTE}
OWNED_GROUP: Final = {"fingerprint": GROUP["fingerprint"], **GROUP_OWNER}
