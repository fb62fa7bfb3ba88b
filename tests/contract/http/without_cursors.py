"""schemathesis's hook: a cursor is made up only if there are no filters, so that lists are read with every filter."""

from typing import Any

import schemathesis
from schemathesis import Case, HookContext


@schemathesis.hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """Take the cursor out of a request that is as its schema says: a cursor belongs to its filters, and is refused with others."""
    valid = case.meta is not None and case.meta.generation.mode.is_positive
    if valid and len(case.query) > 1:
        case.query.pop("cursor", None)
