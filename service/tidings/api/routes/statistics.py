"""`/v1/stats`: rates, percentiles, backlog, and buckets to plot."""

from datetime import UTC, datetime, timedelta
from typing import Final

from pydantic import Field

from tidings.api.replies.statistics import EXAMPLE_STATISTICS, StatisticsReply
from tidings.api.route import Call, Documented, Parameters, Reply, Route
from tidings.api.routes.parameters import End, TestsQuery, Time, Values, tenant_of
from tidings.operations.scopes import Scope
from tidings.operations.statistics import Choice, StatisticsRequest, look

DAY: Final = timedelta(days=1)
SECOND_DAY: Final = datetime(1, 1, 2, tzinfo=UTC)
"""Of the calendar: no period of a day ends before."""


class StatisticsQuery(TestsQuery):
    """What is counted."""

    since: Time | None = Field(
        default=None,
        description="What ended then or later; a day before `until`, if it is not given.",
    )
    until: End | None = Field(
        default=None, description="What ended before; now, if it is not given."
    )
    channel: Values = Field(default=[], description="Channel.", examples=[["email"]])
    category: Values = Field(default=[], description="Category.", examples=[["receipt"]])
    provider: Values = Field(default=[], description="Provider.", examples=[["twilio"]])
    queues: bool = Field(
        default=True,
        description="Look at the queues too, which takes RabbitMQ some 50 ms every two seconds; a key of one tenant never does.",
        examples=[True],
    )


async def _stats(call: Call[Parameters, StatisticsQuery, None]) -> Reply:
    query = call.query
    tenant = tenant_of(call, query.tenant)
    since = query.since or max(query.until or datetime.now(UTC), SECOND_DAY) - DAY
    choice = Choice(
        tenant,
        tuple(query.channel),
        tuple(query.category),
        tuple(query.provider),
        call.tests(query.test),
    )
    request = StatisticsRequest(
        since, query.until, choice, queues=query.queues and call.tenant is None
    )
    return Reply(await look(call.backend, request))


ROUTES: Final = (
    Route(
        "GET",
        "/v1/stats",
        _stats,
        scope=Scope.READ,
        summary="Success, retry and failure rates, time to delivery, and what waits",
        description=(
            "Of what ended in the period, from rollups: exact, and as fast with millions of notifications. The period "
            "begins and ends with a bucket, whose width follows from its length. Queues hold messages of all tenants: "
            "`queues` is null for a key of one tenant, and a part that needs a server that is away is null, with `errors`."
        ),
        tag="statistics",
        query_model=StatisticsQuery,
        replies={200: Documented("The statistics", StatisticsReply, EXAMPLE_STATISTICS)},
        etag=True,
    ),
)
