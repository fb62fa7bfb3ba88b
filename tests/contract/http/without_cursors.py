"""schemathesis's hook: a cursor is made up only if there are no filters, so that lists are read with every filter; and no
request line is longer than a server takes."""

from typing import Any, Final

import schemathesis
from schemathesis import Case, HookContext

LONGEST: Final = 200
"""Characters of a value: some of the longest that the document allows, encoded, would make a line of 64 KiB, which is refused
before it is a request."""


@schemathesis.hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """Change a request that is as its schema says: a cursor belongs to its filters, and is refused with others."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if len(case.query) > 1:
        case.query.pop("cursor", None)
    for name, value in case.query.items():
        case.query[name] = [*map(_short, value)] if isinstance(value, list) else _short(value)


def _short(value: Any) -> Any:
    return value[:LONGEST] if isinstance(value, str) else value
