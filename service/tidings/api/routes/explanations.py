"""`/v1/explain`: what would become of a notification, asked before it is sent."""

from typing import Final

from tidings.api.notification_schemas import ADDRESSED, any_channel
from tidings.api.replies.lists import EXAMPLE_EXPLAIN, ExplainReply
from tidings.api.route import Call, Documented, Parameters, Reply, Route
from tidings.operations.explaining import ExplainRequest, explain
from tidings.operations.scopes import Scope


async def _explain(call: Call[Parameters, Parameters, bytes]) -> Reply:
    return Reply(await explain(call.backend, ExplainRequest(call.body, call.tenant, call.test)))


ROUTES: Final = (
    Route(
        "POST",
        "/v1/explain",
        _explain,
        scope=Scope.READ,
        summary="What would become of a notification",
        description=(
            "Takes a notification as it would be submitted, and says what would happen to it now: sent, skipped or sent "
            "later, and by which rule. Nothing is stored or sent."
        ),
        tag="notifications",
        reads_bytes=True,
        body_schema=any_channel(ADDRESSED),
        body_example={
            "channel": "email",
            "recipient": "jane@example.com",
            "category": "receipt",
            "subject": "Your receipt",
            "body": "Thank you.",
        },
        replies={200: Documented("The decision", ExplainReply, EXAMPLE_EXPLAIN)},
    ),
)
