"""`/v1/overview`: is anything wrong?"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic import AwareDatetime, Field

from tidings.api.replies.dead_letters import GROUP, DeadLetterGroupReply
from tidings.api.replies.notifications import ReplyModel
from tidings.api.replies.schedules import DISPATCHING, DispatchingReply
from tidings.api.replies.statistics import EXAMPLE_STATISTICS, StatisticsReply
from tidings.api.route import Call, Documented, Parameters, Reply, Route
from tidings.api.routes.parameters import TestsQuery, Time, tenant_of
from tidings.operations import overview
from tidings.operations.scopes import Scope
from tidings.operations.statistics import Choice, StatisticsRequest

PERIOD: Final = timedelta(hours=1)


class OverviewQuery(TestsQuery):
    """The period of the rates."""

    since: Time | None = Field(
        default=None, description="Rates of what ended then or later; an hour ago if left out."
    )


class AttentionReply(ReplyModel):
    """One thing that needs attention."""

    level: str
    """`fault`: something is not delivered that should be; `warning`: look at it, or somebody has ordered it."""
    subject: str
    """`server`, `channel`, `queue`, `overdue`, `schedule`, `scheduler`, `dead_letter` or `target`."""
    name: str | None
    """Of the channel, queue, group or category; null if there is one only."""
    text: str


class TargetReply(ReplyModel):
    """The target of a category, and whether it is met."""

    category: str
    target_seconds: float
    """95 of 100 should be sent within it."""
    p95_seconds: float | None
    """In the period; null if nothing was sent."""


class OverviewReply(ReplyModel):
    """The service at one moment."""

    concerns: list[AttentionReply]
    """What is wrong, worst first; empty: all is well."""
    statistics: StatisticsReply
    targets: list[TargetReply]
    groups: list[DeadLetterGroupReply] | None
    """The largest groups of open dead letters; null if PostgreSQL is away."""
    searched_since: AwareDatetime | None
    """Those dead-lettered before were not looked at, and are not counted in `groups`; null if all were. Only tests may be too many."""
    scheduler: DispatchingReply | None
    """Null for a key of one tenant, or if PostgreSQL is away."""


EXAMPLE: Final[dict[str, Any]] = {
    "concerns": [
        {
            "level": "fault",
            "subject": "channel",
            "name": "email",
            "text": "email primary is down: 454 4.7.0 TLS not available",
        }
    ],
    "statistics": EXAMPLE_STATISTICS,
    "targets": [{"category": "otp", "target_seconds": 10.0, "p95_seconds": 1.4}],
    "groups": [GROUP],
    "searched_since": None,
    "scheduler": DISPATCHING,
}


async def _overview(call: Call[Parameters, OverviewQuery, None]) -> Reply:
    query = call.query
    tenant = tenant_of(call, query.tenant)
    request = StatisticsRequest(
        query.since or datetime.now(UTC) - PERIOD,
        choice=Choice(tenant=tenant, test=call.tests(query.test)),
        queues=call.tenant is None and tenant is None,
        details=True,
    )
    return Reply(await overview.see(call.backend, request))


ROUTES: Final = (
    Route(
        "GET",
        "/v1/overview",
        _overview,
        scope=Scope.READ,
        summary="Is anything wrong?",
        description=(
            "What needs attention, worst first, with the numbers behind it: rates, targets, queues, the largest groups of open "
            "dead letters, the scheduler. What concerns all tenants is left out for one tenant; what a server that is away has "
            "is null."
        ),
        tag="statistics",
        query_model=OverviewQuery,
        replies={200: Documented("The service at this moment", OverviewReply, EXAMPLE)},
        etag=True,
    ),
)
