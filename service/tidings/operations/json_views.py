"""Encodes views as JSON."""

import json
from dataclasses import fields, is_dataclass
from datetime import date


def as_json(value: object, *, ascii_only: bool = False) -> str:
    """One JSON document: a view by its `as_data`, another dataclass by its fields, times in ISO 8601, ids and words
    as strings.

    Raises:
        TypeError: There are bytes in it: a body that no view has masked.
    """
    return json.dumps(value, indent=2, default=_encoded, ensure_ascii=ascii_only)


def as_bytes(value: object) -> bytes:
    """The same without white space, in UTF-8. Raises like `as_json`."""
    text = json.dumps(value, separators=(",", ":"), default=_encoded, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace")


def _encoded(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        if (as_data := getattr(value, "as_data", None)) is not None:
            return as_data()
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, bytes):
        raise TypeError("bytes are not JSON: give the view an as_data")
    return value.isoformat() if isinstance(value, date) else str(value)
