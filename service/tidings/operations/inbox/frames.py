"""Frames of live connections: what has changed in an inbox, as its client is sent it."""

from typing import Any, Final

from tidings.inbox.connection import Frame
from tidings.ledger.inbox.following import MOST_BYTES, InboxState
from tidings.operations.inbox.views import MessageView
from tidings.operations.json_views import as_bytes

LARGEST: Final = MOST_BYTES
"""Bytes of a frame, of which one may wait for each client; what is more is read page by page."""


def frame_of(state: InboxState) -> Frame:
    """The changes one by one; or that there are too many, so that the lists are to be loaded anew."""
    content: dict[str, Any] = {
        "revision": state.revision,
        "counts": {"unread": state.unread, "unseen": state.unseen},
    }
    if state.changes is not None:
        changes = {"type": "changes", **content, "data": [*map(MessageView, state.changes)]}
        written = as_bytes(changes)
        if len(written) <= LARGEST:
            return Frame("changes", state.revision, written.decode())
    return Frame("reset", state.revision, as_bytes({"type": "reset", **content}).decode())
