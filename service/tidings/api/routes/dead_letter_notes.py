"""`/v1/dead-letters/…/note`: notes of operators on a dead letter and on a group."""

from typing import Any, Final

from pydantic import Field

from tidings.api.problems import CONFLICT, NOT_FOUND
from tidings.api.replies.dead_letters import (
    ANNOTATED,
    DEAD_LETTER,
    NOTED_GROUP,
    DeadLetterReply,
    NotedGroupReply,
)
from tidings.api.route import Call, Documented, Parameters, Reply, Route
from tidings.api.routes.dead_letters import DeadLetterPath
from tidings.api.routes.parameters import RequiredNoteBody, TenantQuery, tenant_of
from tidings.delivery.id_prefix import IdPrefix
from tidings.operations.dead_letters import notes
from tidings.operations.dead_letters.notes import GroupRequest
from tidings.operations.scopes import Scope


class GroupPath(Parameters):
    """Names a group of dead letters."""

    fingerprint: str = Field(
        pattern=r"^[0-9a-f]{1,64}$",
        description="Its fingerprint, or the first digits.",
        examples=["3e6c7556e063"],
    )


def _id(call: Call[DeadLetterPath, Any, Any]) -> IdPrefix:
    return IdPrefix.parse(str(call.path.id))


def _group(call: Call[GroupPath, TenantQuery, Any]) -> GroupRequest:
    return GroupRequest(call.path.fingerprint, tenant_of(call, call.query.tenant))


async def _annotate(call: Call[DeadLetterPath, Parameters, RequiredNoteBody]) -> Reply:
    note, tenant = call.body.note, call.tenant
    return Reply(await notes.annotate(call.backend, call.actor, _id(call), note, tenant))


async def _remove(call: Call[DeadLetterPath, Parameters, None]) -> Reply:
    return Reply(await notes.remove(call.backend, call.actor, _id(call), call.tenant))


async def _annotate_group(call: Call[GroupPath, TenantQuery, RequiredNoteBody]) -> Reply:
    note = call.body.note
    return Reply(await notes.annotate_group(call.backend, call.actor, _group(call), note))


async def _remove_from_group(call: Call[GroupPath, TenantQuery, None]) -> Reply:
    await notes.remove_from_group(call.backend, call.actor, _group(call))
    return Reply(status=204)


ROUTES: Final = (
    Route(
        "PUT",
        "/v1/dead-letters/{id}/note",
        _annotate,
        scope=Scope.OPERATE,
        summary="Keep a note with an open dead letter",
        description="In the place of the one that it has; the audit trail has both.",
        tag="dead letters",
        path_model=DeadLetterPath,
        body_model=RequiredNoteBody,
        body_example={"note": "asked the customer for the new address"},
        replies={200: Documented("The dead letter", DeadLetterReply, ANNOTATED)},
        problems=(NOT_FOUND, CONFLICT),
    ),
    Route(
        "DELETE",
        "/v1/dead-letters/{id}/note",
        _remove,
        scope=Scope.OPERATE,
        summary="Remove the note of an open dead letter",
        tag="dead letters",
        path_model=DeadLetterPath,
        replies={200: Documented("The dead letter", DeadLetterReply, DEAD_LETTER)},
        problems=(NOT_FOUND, CONFLICT),
    ),
    Route(
        "PUT",
        "/v1/dead-letters/groups/{fingerprint}/note",
        _annotate_group,
        scope=Scope.OPERATE,
        live_only=True,
        summary="Keep a note with a group of dead letters",
        description=(
            "In the place of the one that it has; it stays when the group has ended, for the next time. A tenant sees its "
            "own; a key of all sees all, and may keep one on the group of all tenants together."
        ),
        tag="dead letters",
        path_model=GroupPath,
        query_model=TenantQuery,
        body_model=RequiredNoteBody,
        body_example={"note": "the relay's new certificate, ticket 4711"},
        replies={200: Documented("The group with its note", NotedGroupReply, NOTED_GROUP)},
        problems=(NOT_FOUND, CONFLICT),
    ),
    Route(
        "DELETE",
        "/v1/dead-letters/groups/{fingerprint}/note",
        _remove_from_group,
        scope=Scope.OPERATE,
        live_only=True,
        summary="Remove the note of a group of dead letters",
        tag="dead letters",
        path_model=GroupPath,
        query_model=TenantQuery,
        replies={204: Documented("Removed")},
        problems=(NOT_FOUND, CONFLICT),
    ),
)
