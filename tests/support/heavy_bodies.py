"""Messages of up to 10 MiB that are cheap to write and dear to read, each made when it is asked for."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final

from tidings_events import MAX_BODY_BYTES

ID: Final = "0192f0c1-7b1a-7c3e-9d55-3f6f1a2b4c5d"
_HEAD: Final = f'{{"id":"{ID}","channel":'
_WEBHOOK: Final = (
    _HEAD + '"webhook","recipient":"https://example.org/h","event_type":"a.b","payload":{"a":'
)
_EMAIL: Final = _HEAD + '"email","recipient":"anna@example.org","subject":"s","body":"b",'
_WHATSAPP: Final = (
    _HEAD + f'"whatsapp","recipient":"+14155550100","content_sid":"HX{"0" * 32}",'
    '"content_variables":{'
)

LARGEST: Final = MAX_BODY_BYTES
JUST_ALLOWED: Final = 50_000
"""Values that `data` or `payload` may hold."""


def full_of(head: str, item: str, tail: str, *, between: str = "", size: int = LARGEST) -> bytes:
    """`item` again and again, up to `size` bytes."""
    begin, element, end = head.encode(), (item + between).encode(), tail.encode()
    times = (size - len(begin) - len(end)) // len(element)
    body = begin + element * times
    return body[: len(body) - len(between)] + end


def named(head: str, item: str, tail: str, *, size: int = 2 * 1024 * 1024) -> bytes:
    """`item` with a running number in it, up to about `size` bytes."""
    times = size // (len(item) + 5)
    return (head + ",".join([item % number for number in range(times)]) + tail).encode()


def _chain(deep: int) -> str:
    return '{"a":' * deep + "1" + "}" * deep


HEAVY: Final[Mapping[str, Callable[[], bytes]]] = MappingProxyType(
    {
        "labels that are lists": partial(
            named, _EMAIL + '"metadata":{', '"x%d":[1]', "}}", size=9 * 1024 * 1024
        ),
        "labels of a small body": partial(
            named, _EMAIL + '"metadata":{', '"x%d":[1]', "}}", size=60 * 1024
        ),
        "headers that are numbers": partial(named, _EMAIL + '"headers":{', '"x%d":1', "}}"),
        "variables that are numbers": partial(named, _WHATSAPP, '"x%d":1', "}}"),
        "unknown fields": partial(named, _EMAIL, '"x%d":1', "}"),
        "unknown fields of an entity": partial(named, _EMAIL + '"entity":{', '"x%d":1', "}}"),
        "attachments of one field": partial(
            full_of, _EMAIL + '"attachments":[', '{"a":1}', "]}", between=","
        ),
        "copies that are no address": partial(
            full_of, _EMAIL + '"cc":[', '"nobody"', "]}", between=","
        ),
        "objects of one key": partial(full_of, _WEBHOOK + "[", '{"a":1}', "]}}", between=","),
        "as many objects as are allowed": partial(
            full_of, _WEBHOOK + "[", '{"a":1}', "]}}", between=",", size=8 * JUST_ALLOWED // 2
        ),
        "empty objects": partial(full_of, _WEBHOOK + "[", "{}", "]}}", between=","),
        "objects in objects": partial(full_of, _WEBHOOK + "[", _chain(60), "]}}", between=","),
        "lists of one item": partial(full_of, _WEBHOOK + "[", "[1]", "]}}", between=","),
        "numbers": partial(full_of, _WEBHOOK + "[", "1", "]}}", between=","),
        "short texts": partial(full_of, _WEBHOOK + "[", '"ab"', "]}}", between=","),
        "keys": partial(named, _WEBHOOK + "{", '"k%d":1', "}}}"),
        "structure inside a text": partial(full_of, _WEBHOOK + '"', r"{[,\":", '"}}'),
        "one text": partial(full_of, _WEBHOOK + '"', "x", '"}}'),
        "one text of escapes": partial(full_of, _WEBHOOK + '"', r"\n", '"}}'),
        "one text of backslashes": partial(full_of, _WEBHOOK + '"', r"\\", '"}}'),
        "one text with an emoji at its end": partial(full_of, _WEBHOOK + '"', "x", '😀"}}'),
        "one text with an escaped emoji": partial(
            full_of, _WEBHOOK + '"', "x", '\\ud83d\\ude00"}}'
        ),
        "one text with a euro sign": partial(full_of, _WEBHOOK + '"', "x", '€"}}'),
        "as long a text with a euro sign as is allowed": partial(
            full_of, _WEBHOOK + '"', "x", '€"}}', size=14 * 1024 * 1024 // 2
        ),
        "as long a text with an emoji as is allowed": partial(
            full_of, _WEBHOOK + '"', "x", '😀"}}', size=14 * 1024 * 1024 // 4
        ),
        "texts with an emoji each": partial(
            full_of, _WEBHOOK + "[", f'"{"x" * 300}😀"', "]}}", between=","
        ),
        "one text of emoji": partial(full_of, _WEBHOOK + '"', "😀", '"}}'),
        "a payload beside which all else is missing": partial(
            full_of, '{"channel":"webhook","payload":{"a":"', "x", '"}}'
        ),
        "an unknown field": partial(full_of, '{"channel":"webhook","unknown":"', "x", '"}'),
        "an attachment": partial(
            full_of,
            _EMAIL + '"attachments":[{"filename":"a","content":"',
            "AAAA",
            '"}]}',
            size=7 * 1024 * 1024 * 4 // 3,
        ),
        "JSON that does not end": partial(full_of, _WEBHOOK + '"', "x", '"'),
        "what is not UTF-8": lambda: full_of(_WEBHOOK + '"', "x", '"}}').replace(
            b"xx", b"x\xff", 1
        ),
        "quotes": partial(full_of, _WEBHOOK + "[", '""', "]}}"),
        "brackets": partial(full_of, "", "[", ""),
    }
)
COMMANDS: Final = (
    "labels that are lists",
    "as many objects as are allowed",
    "structure inside a text",
    "one text",
    "one text with an emoji at its end",
    "as long a text with a euro sign as is allowed",
    "an attachment",
)
"""Those that take most where somebody looks at them, or edits them."""
