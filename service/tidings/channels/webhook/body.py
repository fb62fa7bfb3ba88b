"""Writes a webhook's body: the payload as its producer wrote it, character for character.

Read and written again, 1.50 would become 1.5 and 123456789012345.123456 would lose its last digits: a
receiver that compares, adds up or signs what it was promised would not find it.
"""

import json
import re
from collections.abc import Iterator
from typing import Final

from tidings.delivery.attempt import Attempt
from tidings_events import WebhookNotification

_TOKENS: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\]:,]', re.DOTALL)
"""Texts, and what opens, closes and separates; what is between them are numbers, words and space."""
_QUOTE, _COLON, _COMMA = b'":,'
_SPACE: Final = b" \t\r\n"


def body_of(notification: WebhookNotification, attempt: Attempt) -> tuple[bytes, memoryview, bytes]:
    """What is posted, in parts: as the specification recommends, and the same on every retry."""
    kind = json.dumps(notification.event_type)
    moment = json.dumps(attempt.first_seen.isoformat())
    head = f'{{"type":{kind},"timestamp":{moment},"data":'.encode()
    return head, as_written(attempt.body, "payload"), b"}"


def as_written(body: bytes, name: str) -> memoryview:
    """One field's value in a JSON object; the last, where the field is there more than once. Copies nothing.

    Args:
        body: Known to be a JSON object. Nothing is made of its values, however many they are.

    Raises:
        KeyError: There is no such field.
    """
    found = None
    for key, start, end in _fields(body):
        if json.loads(key) == name:
            found = start, end
    if found is None:
        raise KeyError(name)
    start, end = found
    while body[start] in _SPACE:
        start += 1
    while body[end - 1] in _SPACE:
        end -= 1
    return memoryview(body)[start:end]


def _fields(body: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The fields of an object, and where their values begin and end, with the space around them."""
    depth = start = 0
    key = text = b""
    for token in _TOKENS.finditer(body):
        sign = body[token.start()]
        if sign in b"{[":
            depth += 1
        elif sign in b"}]":
            depth -= 1
        elif depth == 1 and sign == _QUOTE:
            text = token[0]
        elif depth == 1 and sign == _COLON:
            key, start = text, token.end()
        if key and (depth == 0 or (depth == 1 and sign == _COMMA)):
            yield key, start, token.start()
            key = b""
