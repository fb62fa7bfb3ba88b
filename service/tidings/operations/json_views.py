"""Encodes views as JSON."""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from typing import Any, Final

ERROR: Final = {"kind": "error_class", "code": "error_code", "message": "error_message"}
"""The names of an error's parts, wherever a view has one."""
GROUP_NOTE: Final = {"actor": "noted_by"}
GROUP_OWNER: Final = {"actor": "set_by"}
ANSWER: Final = {"kind": "error_class"}
"""The same where `code` and `message` are those of any answer, be it an error or not."""


def renamed(view: object, names: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a dataclass, some by another name in JSON.

    Args:
        view: A dataclass.
        names: The names in JSON, by those of the fields.
    """
    assert is_dataclass(view)  # noqa: S101  # for mypy
    return {names.get(field.name, field.name): getattr(view, field.name) for field in fields(view)}


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
