"""A tool as data: its function, which calls one operation, and what it needs."""

import json
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import wraps
from inspect import Signature, signature
from typing import Any, Final

from mcp.server.mcpserver.exceptions import ToolError

from tidings.delivery.errors import Refused, TidingsError
from tidings.mcp_server.assistant import Assistant, KeyHolder
from tidings.operations.json_views import as_json
from tidings.operations.scopes import Scope

MOST: Final = 100
"""Rows of a list."""

Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool. Its function takes the assistant, then what is in its schema; the docstring is its description."""

    function: Callable[..., Awaitable[object]]
    scope: Scope = Scope.READ
    tenant_bound: bool = True
    """Whether it shows or changes what belongs to a tenant; if not, it is for those who may see all."""

    def permits(self, assistant: Assistant) -> bool:
        """Whether an assistant may call it."""
        return self.scope in assistant.scopes and (
            self.tenant_bound or assistant.own_tenant is None
        )


def served(tool: Tool, holder: KeyHolder) -> Callable[..., Coroutine[Any, Any, Result]]:
    """The function that the SDK calls: who calls it is looked at first, its view becomes JSON, and our errors those
    that an assistant reads."""

    @wraps(tool.function)
    async def call(**arguments: Any) -> Result:
        try:
            assistant = await holder.assistant()
            if not tool.permits(assistant):
                raise Refused(f"this needs an API key with the scope `{tool.scope}`")
            view = await tool.function(assistant, **arguments)
        except (TidingsError, ValueError) as error:
            raise ToolError(str(error)) from None
        result: Result = json.loads(as_json(view))
        return result

    # The SDK reads from them what the tool takes and returns.
    own = signature(tool.function)
    _assistant, *parameters = own.parameters.values()
    setattr(call, "__signature__", Signature(parameters, return_annotation=Result))  # noqa: B010  # mypy knows none
    call.__annotations__ = {each.name: each.annotation for each in parameters} | {"return": Result}
    return call


def at_most(limit: int) -> int:
    """The rows of a list.

    Raises:
        ValueError: They are too many, or none.
    """
    if not 1 <= limit <= MOST:
        raise ValueError(f"limit: {limit} is not from 1 to {MOST}")
    return limit
