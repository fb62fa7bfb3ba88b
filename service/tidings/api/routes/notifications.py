"""`/v1/notifications`: one notification with its history."""

from typing import Final
from uuid import UUID

from pydantic import Field

from tidings.api.problems import NOT_FOUND
from tidings.api.replies.notifications import EXAMPLE, NotificationReply, UnclaimedReply
from tidings.api.route import Call, Documented, Parameters, Reply, Route
from tidings.api.routes.parameters import RevealQuery, check_reveal
from tidings.delivery.id_prefix import IdPrefix
from tidings.operations import notifications
from tidings.operations.reveals import note_reveal
from tidings.operations.scopes import Scope


class NotificationPath(Parameters):
    """Names a notification."""

    id: UUID = Field(description="Id of the notification.", examples=[EXAMPLE["id"]])


async def _show(call: Call[NotificationPath, RevealQuery, None]) -> Reply:
    check_reveal(call)
    if call.query.reveal:
        await note_reveal(call.backend, call.actor, {"id": str(call.path.id)})
    request = notifications.ShowRequest(
        IdPrefix.parse(str(call.path.id)),
        reveal=call.query.reveal,
        tenant=call.tenant,
        explain=False,
    )
    return Reply(await notifications.show(call.backend, request))


ROUTES: Final = (
    Route(
        "GET",
        "/v1/notifications/{id}",
        _show,
        scope=Scope.READ,
        summary="Show a notification with its history",
        description=(
            "State, every change of state, every attempt and every dead letter. People are masked and content is left "
            "out. A message that never became a notification is shown by its dead letters, with the state `null`."
        ),
        tag="notifications",
        path_model=NotificationPath,
        query_model=RevealQuery,
        replies={200: Documented("The notification", NotificationReply | UnclaimedReply, EXAMPLE)},
        problems=(NOT_FOUND,),
        etag=True,
    ),
)
