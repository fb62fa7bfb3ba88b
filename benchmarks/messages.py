"""The notifications that every contender gets: the same bytes for all, unlike only in id and recipient."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from uuid import UUID

TEXT: Final = (
    "Dear Anna,\n\nyour order 10042 left our warehouse this morning and should reach you on Friday "
    "between nine and twelve. You can follow it under the link in your account, and change the "
    "day or leave it with a neighbour until the evening before.\n\nKind regards,\nThe shop\n"
)
DATA: Final = {
    "name": "Anna",
    "order": "10042",
    "day": "Friday",
    "link": "https://shop.example/orders/10042",
    "items": [
        {"name": "Teapot, blue", "count": 1, "price": "34.90"},
        {"name": "Green tea, 250 g", "count": 2, "price": "12.50"},
        {"name": "Strainer", "count": 1, "price": "6.00"},
    ],
    "total": "65.90",
}
WORDS: Final = {"subject": "Your order 10042 is on its way", "body": TEXT}
TEMPLATED: Final = {"template": "order-shipped", "data": DATA}


@dataclass(frozen=True, slots=True)
class Message:
    """One notification, as JSON."""

    id: str
    recipient: str
    priority: str
    body: bytes


def messages(
    count: int,
    *,
    priority: str = "normal",
    templated: bool = False,
    failing: float = 0.0,
    first: int = 0,
) -> Iterator[Message]:
    """Notifications numbered from `first`.

    Args:
        templated: Name a template instead of carrying the words.
        failing: Share whose first attempt fails: their recipients start with `fail-`.
    """
    words = TEMPLATED if templated else WORDS
    every = round(1 / failing) if failing else 0
    for number in range(first, first + count):
        word = "fail" if every and number % every == 0 else "user"
        yield _message(f"{word}-{number}@example.com", number, priority, words)


def _message(recipient: str, number: int, priority: str, words: object) -> Message:
    identifier = _time_ordered(number)
    fields = {
        "id": identifier,
        "version": 1,
        "channel": "email",
        "recipient": recipient,
        "priority": priority,
        "category": "receipt",
        "user_id": f"user-{number}",
        "entity": {"type": "order", "id": str(number)},
        "metadata": {"campaign": "autumn", "region": "eu"},
    }
    assert isinstance(words, dict)
    return Message(identifier, recipient, priority, json.dumps(fields | words).encode())


def _time_ordered(number: int) -> str:
    """A UUIDv7, as the client makes them."""
    moment = time.time_ns() // 1_000_000
    return str(
        UUID(int=(moment & (1 << 48) - 1) << 80 | 7 << 76 | 0b10 << 62 | number & (1 << 62) - 1)
    )
