"""`/v1/users`: what an application does about the tokens of an end user."""

from typing import Any, Final

from pydantic import AwareDatetime, Field

from tidings.api.replies.notifications import ReplyModel
from tidings.api.route import Call, Documented, Parameters, Reply, Route
from tidings.api.routes.parameters import NoteBody, TenantName, tenant_of
from tidings.delivery.errors import InvalidRequest
from tidings.operations.revoked_tokens import RevokeTokensRequest, revoke_tokens
from tidings.operations.scopes import Scope
from tidings.operations.user_tokens import LONGEST_SUBJECT
from tidings_events import DEFAULT_TENANT


class UserPath(Parameters):
    """Names an end user."""

    user_id: str = Field(
        min_length=1,
        max_length=LONGEST_SUBJECT,
        description="The user's id, as tokens have it in `sub`.",
        examples=["u-17"],
    )


class UserQuery(Parameters):
    """Whose user it is."""

    tenant: TenantName | None = Field(
        default=None,
        description="The user's tenant; a key of one tenant has that one, with a key of all it is `default` unless given.",
        examples=["shop"],
    )


class RevokedTokensReply(ReplyModel):
    """From when on tokens of a user count."""

    tenant: str
    user_id: str
    valid_since: AwareDatetime
    """Tokens that were issued (`iat`) before are refused; at most a second from now."""


EXAMPLE: Final[dict[str, Any]] = {
    "tenant": "shop",
    "user_id": "u-17",
    "valid_since": "2026-11-29T17:31:03+00:00",
}


async def _revoke(call: Call[UserPath, UserQuery, NoteBody]) -> Reply:
    user_id = call.path.user_id
    if not user_id.isprintable():
        raise InvalidRequest(
            "no user's id has such characters: write printable ones", field="user_id"
        )
    tenant = tenant_of(call, call.query.tenant) or DEFAULT_TENANT
    request = RevokeTokensRequest(tenant, user_id, call.body.note)
    return Reply(await revoke_tokens(call.backend, call.actor, request))


ROUTES: Final = (
    Route(
        "POST",
        "/v1/users/{user_id}/revoke-tokens",
        _revoke,
        scope=Scope.OPERATE,
        live_only=True,
        summary="Revoke all tokens of an end user that were issued until now",
        description=(
            "For a user who logs out everywhere or is locked out. Every process refuses them at once and closes the user's "
            "live connections; a token without `iat` counts as old. A new token counts if its `iat` is `valid_since` or later."
        ),
        tag="users",
        path_model=UserPath,
        query_model=UserQuery,
        body_model=NoteBody,
        body_example={"note": "lost her phone"},
        replies={200: Documented("Revoked", RevokedTokensReply, EXAMPLE)},
    ),
)
