"""`/v1/channels`: status of channels and providers, and orders to all workers."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from pydantic import Field

from tidings.api.problems import NOT_FOUND, ApiProblem
from tidings.api.replies.channels import ChannelPageReply, OrderReply
from tidings.api.route import AnyCall, Call, Documented, Parameters, Reply, Route
from tidings.api.routes.parameters import NoteBody
from tidings.delivery.errors import InvalidRequest
from tidings.operations import channels
from tidings.operations.channels import OrderRequest, OrderView
from tidings.operations.scopes import Scope

EXAMPLE: Final = {
    "channel": "email",
    "provider": None,
    "state": "paused",
    "since": "2026-03-02T09:30:00+00:00",
    "reason": "api-key ops tk_live_4bF9xQ2m: moving to another relay",
    "worker_count": 2,
    "serving_count": 2,
    "probe_at": None,
    "recorded_as": None,
}


class ChannelPath(Parameters):
    """Names a channel."""

    channel: str = Field(description="Name of the channel.", examples=["email"])


class ProviderPath(ChannelPath):
    """Names a provider of a channel."""

    provider: str = Field(description="Name of the provider.", examples=["primary"])


Ordering = Callable[..., Awaitable[OrderView]]


async def _list(call: AnyCall) -> Reply:
    return Reply(await channels.list_(call.backend))


async def _order(operation: Ordering, call: Call[Any, Parameters, NoteBody]) -> Reply:
    provider = getattr(call.path, "provider", None)
    request = OrderRequest(call.path.channel, provider, call.body.note)
    try:
        return Reply(await operation(call.backend, call.actor, request))
    except InvalidRequest as error:  # the names are in the path
        raise ApiProblem(NOT_FOUND, f"{error.field}: {error}") from None


async def _pause(call: AnyCall) -> Reply:
    return await _order(channels.pause, call)


async def _resume(call: AnyCall) -> Reply:
    return await _order(channels.resume, call)


async def _disable(call: AnyCall) -> Reply:
    return await _order(channels.disable_provider, call)


async def _enable(call: AnyCall) -> Reply:
    return await _order(channels.enable_provider, call)


def _ordering(
    path: str, handler: Callable[[AnyCall], Awaitable[Reply]], summary: str, *, provider: bool
) -> Route:
    example = {"channel": "email", "provider": "primary" if provider else None, "changed": True}
    return Route(
        "POST",
        path,
        handler,
        scope=Scope.OPERATE,
        summary=summary,
        description="Workers follow it within about a second; it survives restarts.",
        tag="channels",
        tenant_bound=False,
        path_model=ProviderPath if provider else ChannelPath,
        body_model=NoteBody,
        body_example={"note": "moving to another relay"},
        max_body=16 * 1024,
        replies={200: Documented("The order was given", OrderReply, example)},
        problems=(NOT_FOUND,),
    )


_PROVIDER: Final = "/v1/channels/{channel}/providers/{provider}"

ROUTES: Final = (
    Route(
        "GET",
        "/v1/channels",
        _list,
        scope=Scope.READ,
        summary="Show channels and their providers",
        tag="channels",
        tenant_bound=False,
        replies={
            200: Documented(
                "Each channel, followed by its providers",
                ChannelPageReply,
                {"data": [EXAMPLE], "next_cursor": None},
            )
        },
        etag=True,
    ),
    _ordering("/v1/channels/{channel}/pause", _pause, "Pause a channel", provider=False),
    _ordering("/v1/channels/{channel}/resume", _resume, "Resume a channel", provider=False),
    _ordering(f"{_PROVIDER}/disable", _disable, "Disable a provider", provider=True),
    _ordering(f"{_PROVIDER}/enable", _enable, "Enable a provider", provider=True),
)
