"""schemathesis's hook: a cursor is made up only if there are no filters, so that lists are read with every filter; and no
request line is longer than a server takes."""

from typing import Any, Final

import schemathesis
from schemathesis import Case, HookContext

LONGEST: Final = 200
"""Characters of each of several values: ten of the longest, encoded, would make a line of more than 64 KiB, which is refused
before it is a request."""


@schemathesis.hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """Take the cursor out of a request that is as its schema says: a cursor belongs to its filters, and is refused with others."""
    valid = case.meta is not None and case.meta.generation.mode.is_positive
    if valid and len(case.query) > 1:
        case.query.pop("cursor", None)
    for name, values in case.query.items():
        if isinstance(values, list):
            case.query[name] = [
                value[:LONGEST] if isinstance(value, str) else value for value in values
            ]
