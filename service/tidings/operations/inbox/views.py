"""A message of an inbox, and the state of the inbox, as every reply and every live frame shows them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from tidings.ledger.inbox.messages import StoredMessage
from tidings.ledger.inbox.reading import InboxCounts
from tidings.operations.pages import PageView

NOTHING: Final = InboxCounts(0, 0)


@dataclass(frozen=True, slots=True)
class MessageView:
    """One message. Of a deleted one there is no content."""

    message: StoredMessage

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        message = self.message
        return {
            "id": message.id,
            "position": message.position,
            "revision": message.revision,
            "title": message.title,
            "body": message.body,
            "category": message.category,
            "type": message.type,
            "severity": message.severity,
            "data": message.data,
            "action_url": message.action_url,
            "actions": _actions(message),
            "entity": _entity(message),
            "created_at": message.created_at,
            "expires_at": message.expires_at,
            "seen_at": message.seen_at,
            "read_at": message.read_at,
            "archived_at": message.archived_at,
            "snoozed_until": message.snoozed_until,
            "acted_at": message.acted_at,
            "action": message.action,
            "deleted_at": message.deleted_at,
        }


def _actions(message: StoredMessage) -> list[Mapping[str, Any]] | None:
    """Each with an address or null, whether or not its producer wrote one; an empty list if it has none."""
    if message.deleted_at is not None:
        return None
    return [
        {"id": action["id"], "label": action["label"], "url": action.get("url")}
        for action in message.actions or ()
    ]


def _entity(message: StoredMessage) -> dict[str, str | None] | None:
    if message.entity_type is None:
        return None
    return {"type": message.entity_type, "id": message.entity_id}


@dataclass(frozen=True, slots=True)
class InboxView(PageView[MessageView]):
    """Messages with the state of the inbox at the same moment."""

    revision: int = 0
    """Of what is shown: ask for what has changed since this one."""
    counts: InboxCounts = NOTHING
    reset: bool = False
    """What has changed is not known any more: load the lists anew."""

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        return {
            "data": self.data,
            "next_cursor": self.next_cursor,
            "revision": self.revision,
            "counts": asdict(self.counts),
            "reset": self.reset,
        }
