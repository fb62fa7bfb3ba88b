"""What became of each recipient of a mail."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from tidings.ledger.notifications.stories import Recipient
from tidings.operations.masks import shown


def recipients_as_data(results: Sequence[Recipient], *, reveal: bool) -> list[dict[str, Any]]:
    """For other programs."""
    return [{**asdict(one), "address": shown(one.address, reveal=reveal)} for one in results]
