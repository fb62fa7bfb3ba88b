"""Error texts for wrong values: what a variable must be, but never its value, which may be a secret."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pydantic_core import ErrorDetails

MUST_BE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "greater_than": "must be greater than {gt}",
        "greater_than_equal": "must be at least {ge}",
        "less_than": "must be less than {lt}",
        "less_than_equal": "must be at most {le}",
        "finite_number": "must be a finite number",
        "too_short": "must name at least {min_length}",
        "too_long": "must name at most {max_length}",
        "literal_error": "must be {expected}",
        "enum": "must be {expected}",
        "missing": "must be set",
        "extra_forbidden": "is not known here",
        **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "must be a whole number"),
        **dict.fromkeys(("float_type", "float_parsing"), "must be a number"),
        **dict.fromkeys(("bool_type", "bool_parsing"), "must be true or false"),
        **dict.fromkeys(("tuple_type", "list_type"), "must be a list, [...]"),
        **dict.fromkeys(("dict_type", "model_type"), "must be an object, {{...}}"),
        "string_type": "must be text",
    }
)
_CHOICE: Final = re.compile(r"\^\(([a-z_|]+)\)\$")


def fault(error: ErrorDetails) -> str:
    """The error text that follows a variable's name."""
    where = ".".join(step for step in error["loc"][1:] if isinstance(step, str))
    return f": {where} {_requirement(error)}" if where else f": {_requirement(error)}"


def _requirement(error: ErrorDetails) -> str:
    context = error.get("ctx", {})
    if text := MUST_BE.get(error["type"]):
        return text.format(**context)
    if choice := _CHOICE.fullmatch(str(context.get("pattern"))):
        return f"must be {' or '.join(choice[1].split('|'))}"
    return error["msg"].removeprefix("Value error, ").replace("Input should", "must")
