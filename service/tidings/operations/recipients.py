"""What became of each recipient of a mail."""

from collections.abc import Sequence
from dataclasses import replace

from tidings.ledger.notifications.details import Recipient
from tidings.operations.masks import shown


def masked_recipients(recipients: Sequence[Recipient], *, reveal: bool) -> tuple[Recipient, ...]:
    """Each with its address masked, unless it is to be revealed."""
    return tuple(
        replace(recipient, address=shown(recipient.address, reveal=reveal))
        for recipient in recipients
    )
