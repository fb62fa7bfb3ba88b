"""Builds a webhook's body: the payload exactly as its producer wrote it.

Parsed and serialised again, 1.50 would become 1.5 and 123456789012345.123456 would lose its last digits,
and receivers that compare, add up or verify values would fail.
"""

import json
import re
from collections.abc import Iterator
from typing import Final

from tidings.delivery.attempt import Attempt
from tidings_events import WebhookNotification

_TOKENS: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\]:,]', re.DOTALL)
"""Strings and structural characters of JSON; between them are numbers, literals and white space."""
_QUOTE, _COLON, _COMMA = b'":,'
_SPACE: Final = b" \t\r\n"


def body_of(notification: WebhookNotification, attempt: Attempt) -> tuple[bytes, memoryview, bytes]:
    """The body in parts, as the specification recommends, and the same on every retry."""
    kind = json.dumps(notification.event_type)
    moment = json.dumps(attempt.first_seen.isoformat())
    head = f'{{"type":{kind},"timestamp":{moment},"data":'.encode()
    return head, as_written(attempt.body, "payload"), b"}"


def as_written(body: bytes, name: str) -> memoryview:
    """One field's value in a JSON object, uncopied; the last value of a repeated field.

    Args:
        body: A valid JSON object. Its values are not parsed.

    Raises:
        KeyError: It has no such field.
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
    """The keys of an object, with start and end of their values including white space."""
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
