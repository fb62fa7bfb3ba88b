"""`/v1/dead-letters/groups/…/owner`: who takes care of a group of dead letters."""

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from tidings.api.problems import CONFLICT, NOT_FOUND
from tidings.api.replies.dead_letters import OWNED_GROUP, OwnedGroupReply
from tidings.api.route import Call, Documented, Reply, Route
from tidings.api.routes.dead_letter_notes import GroupPath
from tidings.api.routes.parameters import TenantQuery, tenant_of
from tidings.operations.dead_letters import owners
from tidings.operations.dead_letters.notes import GroupRequest
from tidings.operations.scopes import Scope


class OwnerBody(BaseModel):
    """Who takes care of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    owner: str = Field(
        min_length=1,
        max_length=owners.LONGEST,
        description="A name of printable characters, usually a person's.",
        examples=["jane"],
    )


async def _set_owner(call: Call[GroupPath, TenantQuery, OwnerBody]) -> Reply:
    request = GroupRequest(call.path.fingerprint, tenant_of(call, call.query.tenant))
    return Reply(await owners.set_owner(call.backend, call.actor, request, call.body.owner))


async def _remove_owner(call: Call[GroupPath, TenantQuery, None]) -> Reply:
    request = GroupRequest(call.path.fingerprint, tenant_of(call, call.query.tenant))
    await owners.remove(call.backend, call.actor, request)
    return Reply(status=204)


ROUTES: Final = (
    Route(
        "PUT",
        "/v1/dead-letters/groups/{fingerprint}/owner",
        _set_owner,
        scope=Scope.OPERATE,
        live_only=True,
        summary="Say who takes care of a group of dead letters",
        description="In the place of who did; it stays when the group has ended. Each tenant has its own, as with notes.",
        tag="dead letters",
        path_model=GroupPath,
        query_model=TenantQuery,
        body_model=OwnerBody,
        body_example={"owner": "jane"},
        replies={200: Documented("The group with its owner", OwnedGroupReply, OWNED_GROUP)},
        problems=(NOT_FOUND, CONFLICT),
    ),
    Route(
        "DELETE",
        "/v1/dead-letters/groups/{fingerprint}/owner",
        _remove_owner,
        scope=Scope.OPERATE,
        live_only=True,
        summary="Remove the owner of a group of dead letters",
        tag="dead letters",
        path_model=GroupPath,
        query_model=TenantQuery,
        replies={204: Documented("Removed")},
        problems=(NOT_FOUND, CONFLICT),
    ),
)
