"""The types of fields of notifications: allowed values, and the text of problems.

A validator's message continues the sentence "<field>: <value> …", so it starts with a verb.
"""

import math
import re
import sys
from datetime import datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    PlainValidator,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import to_json

HALF_A_PAIR = "contains half of a surrogate pair; remove it"
MAX_DEPTH = 64
MAX_VALUES = 50_000
_LONGEST_LABEL = 1024
_CONTAINERS = (dict, list, tuple)
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:?\d\d)?")
_OFFSET = re.compile(r"([Zz]|[+-]\d\d:?\d\d)$")
_LONG = 100_000
_STEERING = "\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
"""Control characters (Unicode category Cc), line and paragraph separators, and direction marks (UAX 9): invisible,
and never part of an id."""
_STEERS = re.compile(f"[{_STEERING}]")
_HALF = re.compile(r"[\ud800-\udfff]")


class Unquoted:
    """Marks a field whose values are never quoted in an error: they are personal content."""


def without_nul(value: str) -> str:
    """PostgreSQL cannot hold U+0000, so no text of a notification may contain it."""
    if "\0" in value:
        raise ValueError("contains a NUL character (U+0000); remove it")
    return value


def one_line(value: str) -> str:
    """A line break in a mail header would start another header."""
    if "\r" in value or "\n" in value:
        raise ValueError("contains a line break; write it on one line")
    return without_nul(value)


def visible(value: str) -> str:
    """A line break or an escape in an id would forge a line in output that shows it."""
    if value.isprintable() or (found := _STEERS.search(value)) is None:
        return value
    raise ValueError(f"contains the control character U+{ord(found[0]):04X}; remove it")


def storable(value: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
    """JSON that PostgreSQL can hold: no NUL, NaN, infinity, lone surrogate; of bounded size."""
    if info.mode == "json" and _plain(value):
        return value
    level: list[Any] = [value]
    values = 0
    for _ in range(MAX_DEPTH):
        values += sum(map(len, level))
        if values > MAX_VALUES:
            raise ValueError(f"holds more than {MAX_VALUES:,} values; send a link to them instead")
        level = [inner for container in level for inner in _containers_in(container)]
        if not level:
            return value
    raise ValueError(f"is nested more than {MAX_DEPTH} deep; flatten it")


def _plain(read: dict[str, Any]) -> bool:
    """Whether a JSON value is certainly storable, checked without a walk (in a fifth of the time)."""
    text = to_json(read, inf_nan_mode="constants")
    return (
        len(text) <= MAX_VALUES
        and text.count(b"{") + text.count(b"[") <= MAX_DEPTH
        and not any(sign in text for sign in (b"\\u0000", b"NaN", b"Infinity"))
    )


def _containers_in(container: Any) -> list[Any]:
    """The containers nested directly in it; checks everything else in it."""
    if isinstance(container, dict):
        for key in container:
            _check_key(key)
        container = container.values()
    nested = []
    for item in container:
        if isinstance(item, str):
            _check_text(item)
        elif isinstance(item, _CONTAINERS):
            nested.append(item)
        else:
            _check_scalar(item)
    return nested


def _check_key(key: object) -> None:
    match key:
        case str():
            _check_text(key)
        case _:
            raise ValueError(f"has a {type(key).__name__} as a key; JSON keys are strings")


def _check_scalar(value: object) -> None:
    match value:
        case bool() | int() | None:
            pass
        case float() if math.isfinite(value):
            pass
        case float():
            raise ValueError("holds a number that JSON cannot (NaN or infinity); remove it")
        case _:
            raise ValueError(f"holds a {type(value).__name__}, which is not JSON; convert it first")


def _check_text(value: str) -> None:
    without_nul(value)
    if len(value) > _LONG:
        if _HALF.search(value):  # `encode` would take as much memory again
            raise ValueError(HALF_A_PAIR)
    elif not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError(HALF_A_PAIR) from None


def date_time(value: object) -> object:
    """Refuse what pydantic would guess at: numbers, bare dates, times without an offset."""
    if isinstance(value, datetime):
        return value
    if not (isinstance(value, str) and _DATE_TIME.fullmatch(value)):
        raise ValueError("is not a date and time; write it like 2026-12-24T18:00:00+01:00")
    if not _OFFSET.search(value):
        raise ValueError("has no offset from UTC; add one, e.g. Z or +01:00")
    return value


def whole(value: object) -> object:
    """3.0 is the integer 3 in JSON Schema, and in languages with only one number type."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def scalar(value: object) -> object:
    """A label's value: short text, a number or a boolean."""
    match value:
        case str() if len(value) > _LONGEST_LABEL:
            raise ValueError(
                f"is {len(value):,} characters long; at most {_LONGEST_LABEL:,} are allowed"
            )
        case str():
            _check_text(value)
        case bool() | int() | float():
            _check_scalar(value)
        case _:
            raise ValueError("must be a string, a number, true or false; nest nothing in it")
    return value


def given(name: str) -> dict[str, Any]:
    """JSON Schema: this field is given, and not null."""
    return {"required": [name], "properties": {name: {"not": {"type": "null"}}}}


# No look-around and no \u in any pattern of a schema: RE2, and so Go, supports neither. Characters stand for themselves.
NO_NUL_PATTERN = "^[^\0]*$"
VISIBLE_PATTERN = f"^[^{_STEERING}]*$"

# Length limits come before these: after a validator function pydantic checks them with a slower function.
NO_NUL = AfterValidator(without_nul)
VISIBLE = AfterValidator(visible)
ONE_LINE = AfterValidator(one_line)
LINE_IN_SCHEMA = Field(json_schema_extra={"pattern": "^[^\r\n\0]*$"})
NO_NUL_IN_SCHEMA = Field(json_schema_extra={"pattern": NO_NUL_PATTERN})
_INSTANT_IN_SCHEMA = Field(
    json_schema_extra={
        "pattern": "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt ]"
        "([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]+)?)?"
        "([Zz]|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])$"
    }
)

WHOLE = BeforeValidator(whole)
Reference = Annotated[
    str,
    StringConstraints(min_length=1, max_length=255),
    VISIBLE,
    Field(json_schema_extra={"pattern": VISIBLE_PATTERN}),
]
Instant = Annotated[AwareDatetime, BeforeValidator(date_time), _INSTANT_IN_SCHEMA]
JsonObject = Annotated[dict[str, Any], AfterValidator(storable)]
JSON_IN_SCHEMA: dict[str, dict[str, Any]] = {
    "Json": {
        "anyOf": [
            {"type": ["null", "boolean"]},
            {"type": "string", "pattern": NO_NUL_PATTERN},
            {"type": "number", "minimum": -sys.float_info.max, "maximum": sys.float_info.max},
            {"type": "array", "items": {"$ref": "#/$defs/Json"}},
            {"$ref": "#/$defs/JsonObject"},
        ]
    },
    "JsonObject": {
        "type": "object",
        "propertyNames": {"pattern": NO_NUL_PATTERN},
        "additionalProperties": {"$ref": "#/$defs/Json"},
    },
}
"""The rules of `storable` that JSON Schema can express."""
Slug = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=64),
    Field(examples=["password-reset"]),
]
TemplateName = Annotated[
    str,
    StringConstraints(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*([./][A-Za-z0-9][A-Za-z0-9_-]*)*$", max_length=128
    ),
    Field(examples=["invoice-paid"]),
]
Locale = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8})*$", max_length=100),
    Field(examples=["pt-BR"]),
]
Scalar = Annotated[
    str | bool | int | float,
    PlainValidator(scalar),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "maxLength": _LONGEST_LABEL, "pattern": NO_NUL_PATTERN},
                {"type": "boolean"},
                {"type": "number", "minimum": -sys.float_info.max, "maximum": sys.float_info.max},
            ]
        }
    ),
]
