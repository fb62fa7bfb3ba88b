"""Writes a minimal, readable YAML that any YAML parser reads."""

import json
import re
from collections.abc import Iterator
from typing import Any

# Plain if no parser, YAML 1.1 or 1.2, could misread it; quoted as in JSON otherwise.
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*( [A-Za-z0-9_.-]+)*")
_RESERVED = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def to_yaml(document: dict[str, Any]) -> str:
    """The document in block style, keys in their order."""
    return "\n".join(_lines(document, 0)) + "\n"


def _lines(value: Any, depth: int) -> Iterator[str]:
    indent = "  " * depth
    match value:
        case dict() if value:
            for key, item in value.items():
                yield from _entry(f"{indent}{_scalar(key)}:", item, depth)
        case list() if value:
            for item in value:
                yield from _item(indent, item, depth)
        case _:
            yield f"{indent}{_scalar(value)}"


def _entry(head: str, item: Any, depth: int) -> Iterator[str]:
    if isinstance(item, dict | list) and item:
        yield head
        yield from _lines(item, depth + 1)
    else:
        yield f"{head} {_scalar(item)}"


def _item(indent: str, item: Any, depth: int) -> Iterator[str]:
    first, *rest = _lines(item, depth + 1)
    yield f"{indent}- {first.lstrip()}"
    yield from rest


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _RESERVED:
        return value
    return json.dumps(value, ensure_ascii=False)
