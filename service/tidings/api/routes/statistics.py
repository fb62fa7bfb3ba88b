"""`/v1/stats`: rates, percentiles, backlog, and buckets to plot."""

from datetime import UTC, datetime, timedelta
from typing import Final

from pydantic import AwareDatetime, Field

from tidings.api.problems import FORBIDDEN, ApiProblem
from tidings.api.replies.statistics import EXAMPLE_STATISTICS, StatisticsReply
from tidings.api.route import Call, Documented, Parameters, Reply, Route
from tidings.api.routes.lists import Text, Values
from tidings.operations.scopes import Scope
from tidings.operations.statistics import Choice, StatisticsRequest, look

DAY: Final = timedelta(days=1)


class StatisticsQuery(Parameters):
    """What is counted."""

    since: AwareDatetime | None = Field(
        default=None,
        description="What ended then or later; a day before `until`, if it is not given.",
        examples=["2026-11-29T00:00:00Z"],
    )
    until: AwareDatetime | None = Field(
        default=None,
        description="What ended before; now, if it is not given.",
        examples=["2026-11-30T00:00:00Z"],
    )
    channel: Values = Field(default=[], description="Channel.", examples=[["email"]])
    category: Values = Field(default=[], description="Category.", examples=[["receipt"]])
    provider: Values = Field(default=[], description="Provider.", examples=[["twilio"]])
    tenant: Text | None = Field(
        default=None, description="Tenant; a key of one tenant has that one.", examples=["shop"]
    )
    queues: bool = Field(
        default=True,
        description="Look at the queues too, which takes RabbitMQ some 50 ms every two seconds; a key of one tenant never does.",
        examples=[True],
    )


async def _stats(call: Call[Parameters, StatisticsQuery, None]) -> Reply:
    query = call.query
    tenant = query.tenant if call.tenant is None else call.tenant
    if query.tenant not in {None, tenant}:
        raise ApiProblem(FORBIDDEN, "this key is of another tenant")
    since = query.since or (query.until or datetime.now(UTC)) - DAY
    choice = Choice(tenant, tuple(query.channel), tuple(query.category), tuple(query.provider))
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
