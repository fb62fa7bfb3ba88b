"""`POST /v1/notifications/{id}/resend`: sends a notification again as a new one."""

from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from tidings.api.problems import CONFLICT, FORBIDDEN, NOT_FOUND, ApiProblem
from tidings.api.replies.notifications import EXAMPLE, ReplyModel
from tidings.api.route import Call, Documented, Parameters, Reply, Route
from tidings.api.routes.notifications import NotificationPath
from tidings.api.routes.submissions import KEY_HEADER, REPLAYED, LinksReply, sender
from tidings.delivery.id_prefix import IdPrefix
from tidings.operations import resending
from tidings.operations.resending import ResendRequest
from tidings.operations.scopes import Scope

NEW_ID: Final = "0198c2f5-1d20-7a4f-8c11-5e6f1a2b4c77"
RESENT: Final[dict[str, Any]] = {
    "id": NEW_ID,
    "status": "accepted",
    "copy_of": EXAMPLE["id"],
    "links": {"self": f"/v1/notifications/{NEW_ID}"},
}


class ResendBody(BaseModel):
    """How it is sent again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipient: Annotated[str, StringConstraints(min_length=1, max_length=2_048)] | None = Field(
        default=None,
        description="Another recipient, in the place of its own; needs the scope `reveal` too.",
        examples=["ada@example.com"],
    )
    force: bool = Field(
        default=False, description="Also while it is under way: it may arrive twice."
    )


class ResentReply(ReplyModel):
    """A notification that was sent again."""

    id: UUID
    """Of the new one."""
    status: Literal["accepted"]
    copy_of: UUID
    links: LinksReply


async def _resend(call: Call[NotificationPath, Parameters, ResendBody]) -> Reply:
    if call.body.recipient is not None and Scope.REVEAL not in call.principal.scopes:
        raise ApiProblem(
            FORBIDDEN,
            "another `recipient` gets to see the content: this needs the scope `reveal` too",
        )
    request = ResendRequest(
        IdPrefix.parse(str(call.path.id)),
        call.body.recipient,
        call.body.force,
        call.tenant,
        sender(call),
    )
    view = await resending.resend(call.backend, call.actor, request)
    return Reply(view, 202, REPLAYED if view.replayed else {})


ROUTES: Final = (
    Route(
        "POST",
        "/v1/notifications/{id}/resend",
        _resend,
        scope=Scope.SEND,
        summary="Send a notification again as a new one",
        description=(
            "The same content under a new id, at once, to its recipient or to another; the history of each names the other. "
            "409 while it is under way, unless with `force`, and if its content was erased. What failed is better replayed: "
            "it stays one notification."
        ),
        tag="notifications",
        path_model=NotificationPath,
        body_model=ResendBody,
        body_example={"recipient": "ada@example.com"},
        request_headers=KEY_HEADER,
        replies={
            202: Documented(
                "The new notification",
                ResentReply,
                RESENT,
                headers={
                    "Idempotent-Replayed": "`true` if this repeats the answer to an earlier request."
                },
            )
        },
        problems=(NOT_FOUND, CONFLICT),
    ),
)
