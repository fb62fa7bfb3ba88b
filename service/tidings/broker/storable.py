"""Makes any headers fit to be stored as JSON."""

import math
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, TypeAlias

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"

DEEPEST: Final = 8
MOST_ITEMS: Final = 200
LONGEST_TEXT: Final = 4_000
CUT: Final = "…"


def storable(headers: Mapping[str, object]) -> dict[str, Json]:
    """The headers as JSON: bytes as base64, times as ISO 8601; long values are cut."""
    return _table(headers, depth=0)


def text_of(value: object, longest: int) -> str:
    """A text header, fit to be stored; empty if it is not text."""
    if isinstance(value, bytes | bytearray):
        value = bytes(value).decode("utf-8", "replace")
    return bounded(value, longest) if isinstance(value, str) else ""


def bounded(text: str, longest: int) -> str:
    """Text that AMQP and PostgreSQL accept: no NUL, no lone surrogate, of limited length."""
    fit = text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
    return fit if len(fit) <= longest else f"{fit[: longest - 1]}…"


def _value(value: object, depth: int) -> Json:
    match value:
        case str() | bytes() | bytearray():
            return _text(value)
        case Mapping() | Sequence() if depth >= DEEPEST:
            return CUT
        case Mapping():
            return _table(value, depth + 1)
        case Sequence():
            return _list(value, depth + 1)
        case _:
            return _scalar(value)


def _text(value: str | bytes | bytearray) -> Json:
    if isinstance(value, str):
        return bounded(value, LONGEST_TEXT)
    return {"base64": bounded(b64encode(value).decode("ascii"), LONGEST_TEXT)}


def _scalar(value: object) -> Json:
    match value:
        case None | bool() | int():
            return value
        case float() if math.isfinite(value):
            return value
        case datetime():
            return value.isoformat()
        case _:
            return bounded(str(value), LONGEST_TEXT)


def _table(table: Mapping[str, object], depth: int) -> dict[str, Json]:
    kept = list(table.items())[:MOST_ITEMS]
    fit = {bounded(str(name), LONGEST_TEXT): _value(value, depth) for name, value in kept}
    return fit if len(kept) == len(table) else {**fit, CUT: f"{len(table) - len(kept)} more"}


def _list(values: Sequence[object], depth: int) -> list[Json]:
    fit = [_value(value, depth) for value in values[:MOST_ITEMS]]
    return fit if len(fit) == len(values) else [*fit, CUT]
