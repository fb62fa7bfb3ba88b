"""`/v1/people`: what one person got of late, in plain words."""

from typing import Annotated, Any, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from tidings.api.replies.notifications import EXAMPLE, ReplyModel, SummaryReply
from tidings.api.route import Call, Documented, Parameters, Reply, Route
from tidings.api.routes.parameters import TestsQuery, tenant_of
from tidings.operations import people
from tidings.operations.people import DAYS, MOST, PersonRequest
from tidings.operations.scopes import Scope

Typed = Annotated[str, StringConstraints(min_length=1, max_length=500)]


class PersonBody(BaseModel):
    """Who is looked up. In the body: addresses of requests are in logs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    person: Typed = Field(
        description="An address, a phone number or a user's id, as it was published.",
        examples=["ada@example.com"],
    )


class ReceivedReply(SummaryReply):
    """One notification for the person, with its recipient masked."""

    sentence: str
    """What it was and what became of it, to read out."""
    arrived: bool | None
    """Null: that is not known, or not decided yet."""


class KnownUserReply(ReplyModel):
    """A user for whom these were."""

    tenant: str
    user_id: str


class PersonInboxReply(ReplyModel):
    """The user's inbox."""

    unread: int
    unseen: int


class PersonReply(ReplyModel):
    """What a person got."""

    since: AwareDatetime
    notifications: list[ReceivedReply]
    """Newest first."""
    users: list[KnownUserReply]
    inbox: PersonInboxReply | None
    """Null if these are for none or several users, or there is no inbox."""
    more: bool
    """There may be older ones in this time: `GET /v1/notifications` has all."""


_RECEIVED: Final = {
    **{name: EXAMPLE[name] for name in SummaryReply.model_fields if name in EXAMPLE},
    "sentence": "Receipt by email: delivered on 29 November 2026 at 17:31 UTC",
    "arrived": True,
}
EXAMPLE_PERSON: Final[dict[str, Any]] = {
    "since": "2026-10-30T17:31:02Z",
    "notifications": [_RECEIVED],
    "users": [{"tenant": "shop", "user_id": "u-17"}],
    "inbox": {"unread": 2, "unseen": 1},
    "more": False,
}


async def _search(call: Call[Parameters, TestsQuery, PersonBody]) -> Reply:
    tenant, test = tenant_of(call, call.query.tenant), call.tests(call.query.test)
    request = PersonRequest(call.body.person, tenant, test)
    return Reply(await people.look_up(call.backend, call.actor, request))


ROUTES: Final = (
    Route(
        "POST",
        "/v1/people/search",
        _search,
        scope=Scope.READ,
        summary="What a person got",
        description=(
            f"In the last {DAYS} days, on all channels, at most {MOST} notifications, in plain words. An address of one user "
            "leads to all that was for that user. Addresses stay masked, and who looked is in the audit trail."
        ),
        tag="people",
        query_model=TestsQuery,
        body_model=PersonBody,
        body_example={"person": "ada@example.com"},
        replies={200: Documented("What the person got", PersonReply, EXAMPLE_PERSON)},
    ),
)
