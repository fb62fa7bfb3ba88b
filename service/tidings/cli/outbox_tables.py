"""Tables of entries of the outbox."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from tidings.cli.rows import Row, Rows, cell
from tidings.operations.outbox import EnteredNotification, EntryStatus
from tidings.operations.times import ago

_STYLES: Final = {
    EntryStatus.PENDING: "yellow",
    EntryStatus.RETRYING: "yellow",
    EntryStatus.FAILED: "red",
    EntryStatus.SUCCESS: "green",
    EntryStatus.CANCELLED: "dim",
}


def table(entries: Sequence[EnteredNotification]) -> Rows:
    """A row for each entry."""
    now = datetime.now(UTC)
    rows = [
        Row(
            [
                cell(ago(entry.entered_at, now)),
                cell(entry.status.value, _STYLES[entry.status]),
                cell(entry.channel),
                cell(f"{entry.tries:,}"),
                cell(str(entry.id)),
            ],
            entry.last_error or "",
        )
        for entry in entries
    ]
    return Rows(("Entered", "Status", "Channel", "Tries", "Notification"), rows, right=("Tries",))
