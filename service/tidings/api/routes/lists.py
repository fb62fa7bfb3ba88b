"""`/v1/notifications`: the notifications that match, a page at a time or all as an export; and why one went out or not."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Final

from pydantic import Field

from tidings.api.problems import FORBIDDEN, NOT_FOUND, ApiProblem, unavailable
from tidings.api.replies.lists import EXAMPLE_PAGE, EXAMPLE_WHY, NotificationPageReply, WhyReply
from tidings.api.route import AnyCall, Call, Documented, Parameters, Reply, Route
from tidings.api.routes.notifications import NotificationPath
from tidings.api.routes.parameters import (
    End,
    PageQuery,
    TestsQuery,
    Text,
    Time,
    Values,
    check_reveal,
    tenant_of,
)
from tidings.delivery.errors import InvalidRequest
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.states import State
from tidings.operations import decisions, notifications
from tidings.operations.exports import ExportRequest, ExportsBusy, Format, export
from tidings.operations.filters import entity
from tidings.operations.notifications import Bounds, Filters, ListRequest, ShowRequest
from tidings.operations.reveals import note_reveal
from tidings.operations.scopes import Scope

SEARCH: Final = Bounds(patience=0.01, step=2_500)
"""A page answers within 50 ms, and says how far it has looked."""


class FilterQuery(TestsQuery):
    """Which notifications. Each filter may be given several times: one of its values has to match."""

    state: list[State] = Field(default=[], max_length=20, description="State.", examples=[["sent"]])
    channel: Values = Field(default=[], description="Channel.", examples=[["email"]])
    priority: Values = Field(default=[], description="Priority.", examples=[["high"]])
    category: Values = Field(default=[], description="Category.", examples=[["receipt"]])
    user_id: Values = Field(default=[], description="Your id of the user.", examples=[["u-17"]])
    entity: Values = Field(
        default=[], description="Entity, `type` or `type:id`.", examples=[["order:10042"]]
    )
    recipient: Values = Field(
        default=[],
        description="Recipient, the full address as published.",
        examples=[["jane@example.com"]],
    )
    template: Values = Field(default=[], description="Template.", examples=[["order-shipped"]])
    provider: Values = Field(
        default=[], description="Provider of the last attempt.", examples=[["twilio"]]
    )
    error_class: Values = Field(
        default=[],
        description="Class of the last attempt's error, if it failed.",
        examples=[["unavailable"]],
    )
    subject: Text | None = Field(
        default=None,
        description="A part of the subject, in any case of letters; needs the scope `reveal` too. A template's subject is not "
        "searched.",
        examples=["order 10042"],
    )
    since: Time | None = Field(default=None, description="Accepted then or later.")
    until: End | None = Field(default=None, description="Accepted before.")
    overdue: bool = Field(
        default=False,
        description="Only those due for more than a minute, and not published.",
        examples=[False],
    )
    reveal: bool = Field(
        default=False,
        description="Show people unmasked; needs the scope `reveal` too, and is kept in the audit trail.",
        examples=[False],
    )


class ListQuery(FilterQuery, PageQuery):
    """A page of notifications."""


class ExportQuery(FilterQuery):
    """An export."""

    format: Format = Field(default=Format.NDJSON, description="Format.", examples=["csv"])


def filters_of(call: AnyCall) -> Filters:
    """The filters of a request.

    Raises:
        ApiProblem: Another tenant is asked for, or what is no test with a test key; or the key may not search subjects.
        InvalidRequest: An entity can't be read.
    """
    query: FilterQuery = call.query
    if query.subject is not None and Scope.REVEAL not in call.principal.scopes:
        raise ApiProblem(
            FORBIDDEN, "a search finds out subjects: `subject` needs the scope `reveal`"
        )
    tenant = tenant_of(call, query.tenant)
    try:
        entities = tuple(entity(text) for text in query.entity)
    except ValueError as error:
        raise InvalidRequest(str(error), field="entity") from None
    return Filters(
        channels=tuple(query.channel),
        states=tuple(query.state),
        priorities=tuple(query.priority),
        tenant=tenant,
        categories=tuple(query.category),
        user_ids=tuple(query.user_id),
        entities=entities,
        recipients=tuple(query.recipient),
        templates=tuple(query.template),
        providers=tuple(query.provider),
        error_classes=tuple(query.error_class),
        subject=query.subject,
        since=query.since,
        until=query.until,
        overdue=query.overdue,
        test=call.tests(query.test),
    )


async def may_reveal(call: AnyCall, filters: Filters) -> None:
    """Note that people are about to be revealed, where that is asked for.

    Raises:
        ApiProblem: The key may not.
    """
    check_reveal(call)
    if not call.query.reveal:
        return
    given = [field.name for field in fields(Filters) if getattr(filters, field.name)]
    await note_reveal(call.backend, call.actor, {"filters": given, "tenant": filters.tenant})


async def _list(call: Call[Parameters, ListQuery, None]) -> Reply:
    filters = filters_of(call)
    await may_reveal(call, filters)
    request = ListRequest(
        filters,
        call.query.limit,
        reveal=call.query.reveal,
        cursor=call.query.cursor,
        bounds=SEARCH,
        explain=False,
    )
    return Reply(await notifications.list_(call.backend, request))


async def _export(call: Call[Parameters, ExportQuery, None]) -> Reply:
    filters = filters_of(call)
    await may_reveal(call, filters)
    request = ExportRequest(filters, call.query.format, call.query.reveal)
    name = f"notifications.{call.query.format}"
    try:
        written = await export(call.backend, request)
    except ExportsBusy as busy:
        raise unavailable(str(busy)) from None
    return Reply(
        written,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
        media_type=call.query.format.media_type,
    )


async def _why(call: Call[NotificationPath, Parameters, None]) -> Reply:
    request = ShowRequest(IdPrefix.parse(str(call.path.id)), tenant=call.tenant, explain=False)
    return Reply(await decisions.why(call.backend, request))


ROUTES: Final[Sequence[Route]] = (
    Route(
        "GET",
        "/v1/notifications",
        _list,
        scope=Scope.READ,
        summary="List notifications, newest first",
        description=(
            "A page has at most `limit` of those that match. `next_cursor` leads to the next page: repeat the request "
            "with it and the same filters; null at the end. A page may have fewer than `limit`, or none, and a cursor: "
            "few of very many match, and those accepted before `searched_since` were not looked at yet."
        ),
        tag="notifications",
        query_model=ListQuery,
        replies={200: Documented("A page", NotificationPageReply, EXAMPLE_PAGE)},
        etag=True,
    ),
    Route(
        "GET",
        "/v1/notifications/export",
        _export,
        scope=Scope.READ,
        summary="Export notifications",
        description=(
            "All that match, newest first, as NDJSON or CSV. A connection that ends without its last chunk was cut: "
            "the export is not complete. A process writes two at the same time; to more it replies 503."
        ),
        tag="notifications",
        query_model=ExportQuery,
        replies={
            200: Documented(
                "The notifications",
                str,
                '{"id":"0198c2f4-5a10-7c3e-9d55-3f6f1a2b4c5d","channel":"email","state":"sent"}\n',
                media_type="application/x-ndjson",
                other_forms={"text/csv": "id,tenant,channel\r\n0198c2f4-…,shop,email\r\n"},
            )
        },
    ),
    Route(
        "GET",
        "/v1/notifications/{id}/why",
        _why,
        scope=Scope.READ,
        summary="Why a notification went out, did not, or waits",
        description="The decision, and the rule that decided: what is stored, not a guess.",
        tag="notifications",
        path_model=NotificationPath,
        replies={200: Documented("The decision", WhyReply, EXAMPLE_WHY)},
        problems=(NOT_FOUND,),
        etag=True,
    ),
)
