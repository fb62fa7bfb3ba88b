"""What a face shows of dead letters, masked unless it is to be revealed."""

from dataclasses import asdict
from typing import Any

from tidings.broker.letters import came_by
from tidings.ledger.dead_letters.rows import StoredLetter, published_at
from tidings.operations.masks import discreet, shown, veiled_headers

__all__ = ["StoredLetter", "letter_as_data", "published_at"]


def letter_as_data(letter: StoredLetter, *, reveal: bool) -> dict[str, Any]:
    """A letter for other programs."""
    data = {
        **asdict(letter),
        "attempts": letter.tries,
        "came_by": came_by(letter.headers, letter.routing_key),
    }
    failure = data.pop("failure")
    if reveal:
        return {**data, **failure}
    recipient = shown(letter.recipient, reveal=False) if letter.recipient else None
    failure["message"] = discreet(failure["message"])
    return {**data, **failure, "recipient": recipient, "headers": veiled_headers(letter.headers)}
