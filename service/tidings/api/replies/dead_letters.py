"""The JSON of dead letters."""

from typing import Any
from uuid import UUID

from pydantic import AwareDatetime

from tidings.api.replies.notifications import RecipientReply, ReplyModel, TransitionReply
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
    category: str | None
    recipient: str | None
    user_id: str | None
    entity_type: str | None
    entity_id: str | None
    attempts: int
    first_failed_at: AwareDatetime
    last_failed_at: AwareDatetime
    dead_lettered_at: AwareDatetime
    exchange: str
    routing_key: str
    content_type: str | None
    headers: dict[str, Any]
    properties: dict[str, str]
    changed_at: AwareDatetime
    actor: str | None
    note: str | None
    noted_by: str | None
    """The person whose note it is; null if Tidings wrote it."""
    noted_at: AwareDatetime | None
    supersedes: UUID | None
    """The dead letter that it replaces, edited."""
    replay_epoch: int | None
    replayed_at: AwareDatetime | None
    size: int
    """Bytes of its body."""
    source: str
    """The queue it was in, or the key it was published with."""
    kind: str
    message: str
    provider: str
    code: str


class GroupNoteReply(ReplyModel):
    """A note on a group of dead letters."""

    tenant: str
    """Whose group it is about; `*`: that of all tenants together."""
    note: str
    actor: str
    noted_at: AwareDatetime


class NotedGroupReply(ReplyModel):
    """A group with its note."""

    fingerprint: str
    note: GroupNoteReply


class DeadLetterDetailsReply(DeadLetterReply):
    """A dead letter in full."""

    recipients: list[RecipientReply]
    group_notes: list[GroupNoteReply]
    """Notes on its group."""
    history: list[TransitionReply]
    """The changes of its notification's state."""
    outline: Any
    """Its body as JSON, with people masked and content left out; null if it is no JSON, or revealed."""
    problems: list[str]
    """Why its body can't be read as a notification."""
    not_replayable: str | None
    """Why a replay would leave it alone."""
    body: str | None
    """Only with `reveal`."""
    body_base64: str | None
    """The same, byte for byte."""


class DeadLettersReply(ReplyModel):
    """A page of dead letters, newest first."""

    dead_letters: list[DeadLetterReply]
    next_cursor: str | None
    """The `cursor` of the next page."""


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
    dead_letters: int
    channel: str | None
    reason: Reason
    kind: str
    code: str
    message: str
    """Of the newest."""
    first_at: AwareDatetime
    """When the oldest was dead-lettered."""
    last_at: AwareDatetime
    """When the newest was."""
    example: UUID
    """The newest."""
    trend: TrendReply
    notes: list[GroupNoteReply]
    """At most one of each tenant, and one of all tenants together."""


class DeadLetterGroupsReply(ReplyModel):
    """The largest groups."""

    groups: list[DeadLetterGroupReply]


class EditedReply(ReplyModel):
    """A dead letter that replaces another one."""

    id: UUID
    supersedes: UUID
