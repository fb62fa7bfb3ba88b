"""What is shown of dead letters: the fields of their JSON, with people and contents masked unless they are to be revealed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self
from uuid import UUID

from tidings.broker.dead_letters import source_of
from tidings.delivery.dead_letter import DeadLetterState
from tidings.delivery.outcome import Reason
from tidings.ledger.dead_letters.notes import GroupNote
from tidings.ledger.dead_letters.rows import StoredDeadLetter, published_at
from tidings.ledger.notifications.details import Recipient
from tidings.operations.dead_letters.remedies import Remedy
from tidings.operations.json_views import ANSWER, ERROR, GROUP_NOTE, renamed
from tidings.operations.masks import discreet, shown, veiled_headers

__all__ = [
    "DeadLetterInFull",
    "DeadLetterView",
    "published_at",
]


@dataclass(frozen=True, slots=True)
class DeadLetterView:
    """One dead letter."""

    id: UUID
    notification_id: UUID | None
    epoch: int
    state: DeadLetterState
    reason: Reason
    fingerprint: str
    channel: str | None
    priority: str | None
    tenant: str | None
    """None if its message does not tell."""
    category: str | None
    recipient: str | None
    user_id: str | None
    entity_type: str | None
    entity_id: str | None
    attempts: int
    """Those in which a provider was asked."""
    first_failed_at: datetime
    last_failed_at: datetime
    dead_lettered_at: datetime
    exchange: str
    routing_key: str
    content_type: str | None
    headers: Mapping[str, Any]
    properties: Mapping[str, str]
    changed_at: datetime
    actor: str | None
    note: str | None
    noted_by: str | None
    """The person whose note it is; None if Tidings wrote it."""
    noted_at: datetime | None
    supersedes: UUID | None
    replay_epoch: int | None
    replayed_at: datetime | None
    size: int
    """Bytes of its body."""
    source: str
    """The queue it lay in, or the key it was published with."""
    kind: str
    message: str
    provider: str
    code: str
    test: bool = False
    """Whether it is a test's."""

    @classmethod
    def of(cls, dead_letter: StoredDeadLetter, *, reveal: bool) -> Self:
        """What is shown of a stored one."""
        stored = {name: getattr(dead_letter, name) for name in StoredDeadLetter.__slots__}
        failure = stored.pop("failure")
        stored |= {
            "attempts": dead_letter.attempts_made,
            "source": source_of(dead_letter.headers, dead_letter.routing_key),
            **{name: getattr(failure, name) for name in ("kind", "message", "provider", "code")},
        }
        if not reveal:
            recipient = dead_letter.recipient and shown(dead_letter.recipient, reveal=False)
            stored |= {
                "message": discreet(failure.message),
                "note": dead_letter.note and discreet(dead_letter.note),
                "recipient": recipient,
                "headers": veiled_headers(dead_letter.headers),
            }
        return cls(**stored)

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return renamed(self, _NAMES)


_NAMES: Final = {
    **ERROR,
    "attempts": "attempt_count",
    "changed_at": "updated_at",
    "actor": "updated_by",
    "size": "size_bytes",
}
"""Names in JSON."""


@dataclass(frozen=True, slots=True)
class DeadLetterInFull:
    """Everything about one dead letter."""

    dead_letter: DeadLetterView
    recipients: tuple[Recipient, ...]
    """What became of each, if its notification is known."""
    body: bytes | None
    """Only if it is to be revealed."""
    outline: str | None
    """The body as JSON with people masked and contents left out; None if it is no JSON, too heavy, or revealed."""
    too_heavy: bool
    """Whether laying it out would take too much memory."""
    problems: tuple[str, ...]
    """Why its body can't be read as a notification."""
    remedy: Remedy | None
    """What would send it on its way; None if it is closed, or can't be sent again."""
    refused: str | None
    """Why it can't be sent again, whatever is in it."""
    group_notes: tuple[GroupNote, ...] = ()
    digest: str = ""
    """SHA-256 of its body, in hexadecimal: an edit may name the one that it is based on."""
    """Notes on its group: of its tenant, and of all tenants for those who may see them."""

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        data = {
            **self.dead_letter.as_data(),
            "recipient_results": [renamed(recipient, ANSWER) for recipient in self.recipients],
            "group_notes": [renamed(note, GROUP_NOTE) for note in self.group_notes],
        }
        body = self.body
        return data if body is None else {**data, "body_text": body.decode("utf-8", "replace")}
