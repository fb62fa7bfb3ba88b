"""`/v1/alert-rules`: what operators are alerted about, when, and where."""

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from tidings.api.problems import CONFLICT, NOT_FOUND
from tidings.api.replies.alert_rules import (
    ALERT_RULE,
    SENT_ALERT,
    AlertRulePageReply,
    AlertRuleReply,
    ResealedReply,
    SentAlertPageReply,
    SentAlertReply,
)
from tidings.api.route import Call, Documented, Parameters, Reply, Route
from tidings.api.routes.parameters import NoteBody, NoteQuery, TenantQuery, Text, tenant_of
from tidings.operations import alert_rules
from tidings.operations.alert_rules import (
    AlertRuleRequest,
    CreateAlertRuleRequest,
    EditAlertRuleRequest,
    RuleTerms,
    Watch,
)
from tidings.operations.scopes import EVERY_TENANT, Scope

Word = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Url = Annotated[str, StringConstraints(min_length=1, max_length=2_048)]
FIELDS: Final = {"window_seconds": "lasting", "every_seconds": "every", "remind_seconds": "remind"}
"""The names of the operation's fields, where they differ."""


class RulePath(Parameters):
    """Names a rule."""

    rule: Text = Field(description="Id or name of the rule.", examples=["otp"])


class EditRuleBody(BaseModel):
    """What of a rule is to be changed; null removes a filter."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Word | None = Field(default=None, description="Unlike the tenant's others.")
    watch: Watch | None = Field(
        default=None,
        description="What is watched: dead letters, providers that are down, schedules that are overdue, queues in which "
        "messages wait.",
    )
    channel: Word | None = Field(default=None, description="Only of this channel.")
    category: Word | None = Field(
        default=None, description="Only dead letters of this category.", examples=["otp"]
    )
    reason: Word | None = Field(default=None, description="Only dead letters for this reason.")
    fingerprint: Word | None = Field(default=None, description="Only dead letters of this group.")
    queue: Word | None = Field(
        default=None, description="Only this queue.", examples=["tidings.email.high"]
    )
    threshold: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Dead letters, or messages in a queue, that are enough; 1 at first.",
    )
    window_seconds: int | None = Field(
        default=None,
        ge=0,
        le=86_400,
        description="In which they have to come, or for which anything else has to last; 300 at first.",
    )
    every_seconds: int | None = Field(
        default=None, ge=60, le=86_400, description="Between two alerts, at least; 900 at first."
    )
    remind_seconds: int | None = Field(
        default=None,
        ge=0,
        le=604_800,
        description="After which an alert about what is down, overdue or waiting comes again while nothing has changed; 0: "
        "never. 14,400 at first.",
    )
    all_clear: bool | None = Field(
        default=None, description="Whether it is told when that is over; true at first."
    )
    url: Url | None = Field(
        default=None,
        description="Of the receiver, as Apprise writes it, like `slack://T1/B2/token`; only with a key of all tenants. It "
        "is never shown again.",
    )
    to_channel: Word | None = Field(
        default=None, description="In its place: the channel on which alerts are sent."
    )
    recipient: Url | None = Field(default=None, description="Whom they are sent to on it.")


class ChangeRuleBody(EditRuleBody):
    """What of a rule is to be changed, and what that is based on."""

    based_on: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")] | None = Field(
        default=None, description="`sha256` as it was read: 409 if it was changed since."
    )


class CreateRuleBody(EditRuleBody):
    """A rule."""

    name: Word = Field(description="Unlike the tenant's others.", examples=["otp"])
    tenant: Word | None = Field(
        default=None,
        description="Whose dead letters it watches; all, if a key of all tenants leaves it out.",
    )


BODY: Final[dict[str, Any]] = {
    "name": "otp",
    "category": "otp",
    "threshold": 10,
    "window_seconds": 300,
    "to_channel": "email",
    "recipient": "ops@example.com",
}

RuleCall = Call[RulePath, Any, Any]


def _changes(body: EditRuleBody) -> dict[str, Any]:
    """What a body has; null for a field that must have a value says nothing."""
    filters = {"channel", "category", "reason", "fingerprint", "queue"}
    return {
        FIELDS.get(name, name): getattr(body, name)
        for name in body.model_fields_set - {"tenant", "based_on"}
        if getattr(body, name) is not None or name in filters
    }


def _reference(call: RuleCall, note: str = "") -> AlertRuleRequest:
    return AlertRuleRequest(call.path.rule, call.tenant, note)


async def _create(call: Call[Parameters, Parameters, CreateRuleBody]) -> Reply:
    changes = _changes(call.body)
    name, tenant = changes.pop("name"), call.body.tenant or call.tenant or EVERY_TENANT
    request = CreateAlertRuleRequest(name, RuleTerms(**changes), tenant, call.tenant)
    view = await alert_rules.create(call.backend, call.actor, request)
    return Reply(view, 201, {"Location": f"/v1/alert-rules/{view.rule.id}"})


async def _list(call: Call[Parameters, TenantQuery, None]) -> Reply:
    return Reply(await alert_rules.list_(call.backend, tenant_of(call, call.query.tenant)))


async def _show(call: RuleCall) -> Reply:
    return Reply(await alert_rules.show(call.backend, _reference(call)))


async def _edit(call: Call[RulePath, Parameters, ChangeRuleBody]) -> Reply:
    body = call.body
    request = EditAlertRuleRequest(call.path.rule, _changes(body), call.tenant, body.based_on)
    return Reply(await alert_rules.edit(call.backend, call.actor, request))


async def _enable(call: Call[RulePath, Parameters, NoteBody]) -> Reply:
    request = _reference(call, call.body.note)
    return Reply(await alert_rules.enable(call.backend, call.actor, request))


async def _disable(call: Call[RulePath, Parameters, NoteBody]) -> Reply:
    request = _reference(call, call.body.note)
    return Reply(await alert_rules.disable(call.backend, call.actor, request))


async def _test(call: RuleCall) -> Reply:
    return Reply(await alert_rules.test(call.backend, call.actor, _reference(call)))


async def _history(call: RuleCall) -> Reply:
    return Reply(await alert_rules.history(call.backend, _reference(call)))


async def _reseal(call: Call[Parameters, Parameters, None]) -> Reply:
    return Reply(await alert_rules.reseal(call.backend, call.actor))


async def _delete(call: Call[RulePath, NoteQuery, None]) -> Reply:
    await alert_rules.delete(call.backend, call.actor, _reference(call, call.query.note))
    return Reply(status=204)


_ONE: Final = "/v1/alert-rules/{rule}"
_COMMON: Final[dict[str, Any]] = {"tag": "alerts", "live_only": True}
_SHOWN: Final = Documented("The rule", AlertRuleReply, ALERT_RULE)

ROUTES: Final = (
    Route(
        "POST",
        "/v1/alert-rules",
        _create,
        scope=Scope.ADMIN,
        summary="Create a rule of alerts",
        description=(
            "It reports what comes from now on. Its alerts go to a `url`, or to a `recipient` on a channel, `to_channel`."
        ),
        body_model=CreateRuleBody,
        body_example=BODY,
        replies={
            201: Documented(
                "Created", AlertRuleReply, ALERT_RULE, headers={"Location": "Its address."}
            )
        },
        problems=(CONFLICT,),
        **_COMMON,
    ),
    Route(
        "GET",
        "/v1/alert-rules",
        _list,
        scope=Scope.READ,
        summary="List rules of alerts",
        description="By name, with their state and last alert; in one page.",
        query_model=TenantQuery,
        replies={
            200: Documented("All", AlertRulePageReply, {"data": [ALERT_RULE], "next_cursor": None})
        },
        **_COMMON,
    ),
    Route(
        "POST",
        "/v1/alert-rules/reseal",
        _reseal,
        scope=Scope.ADMIN,
        tenant_bound=False,
        summary="Seal the URLs of receivers with a new key",
        description=(
            "With the first of `TIDINGS_SEALING_KEYS`, those that are stored unsealed too: after a key was put before the others, "
            "and every process has it; then the others can be removed. 409 if there is no key."
        ),
        replies={
            200: Documented("How many", ResealedReply, {"resealed_count": 2, "unopened_count": 0})
        },
        problems=(CONFLICT,),
        **_COMMON,
    ),
    Route(
        "GET",
        _ONE,
        _show,
        scope=Scope.READ,
        summary="Show a rule of alerts",
        path_model=RulePath,
        replies={200: _SHOWN},
        problems=(NOT_FOUND, CONFLICT),
        **_COMMON,
    ),
    Route(
        "PATCH",
        _ONE,
        _edit,
        scope=Scope.ADMIN,
        summary="Edit a rule of alerts",
        description="What is left out stays, the receiver too; null removes a filter. 409 if somebody was faster.",
        path_model=RulePath,
        body_model=ChangeRuleBody,
        body_example={"threshold": 20, "category": None},
        replies={200: _SHOWN},
        problems=(NOT_FOUND, CONFLICT),
        **_COMMON,
    ),
    *(
        Route(
            "POST",
            f"{_ONE}/{verb}",
            handler,
            scope=Scope.ADMIN,
            summary=f"{verb.capitalize()} a rule of alerts",
            description=meaning,
            path_model=RulePath,
            body_model=NoteBody,
            body_example={"note": "provider moves tonight"},
            replies={200: _SHOWN},
            problems=(NOT_FOUND, CONFLICT),
            **_COMMON,
        )
        for verb, handler, meaning in (
            ("enable", _enable, "It reports what comes from now on."),
            ("disable", _disable, "It alerts no more until it is enabled."),
        )
    ),
    Route(
        "POST",
        f"{_ONE}/test",
        _test,
        scope=Scope.ADMIN,
        summary="Send an alert of a rule now",
        description=(
            "Whatever its state; the reply says what the receiver answered, or why it could not be sent: that is a 200 too. "
            "It takes as long as the receiver does, at most 20 s."
        ),
        path_model=RulePath,
        replies={200: Documented("What became of it", SentAlertReply, SENT_ALERT)},
        problems=(NOT_FOUND, CONFLICT),
        **_COMMON,
    ),
    Route(
        "GET",
        f"{_ONE}/history",
        _history,
        scope=Scope.READ,
        summary="List the alerts of a rule",
        description="The last 50, newest first, as they were sent; of failures in a row, the first.",
        path_model=RulePath,
        replies={
            200: Documented("All", SentAlertPageReply, {"data": [SENT_ALERT], "next_cursor": None})
        },
        problems=(NOT_FOUND, CONFLICT),
        **_COMMON,
    ),
    Route(
        "DELETE",
        _ONE,
        _delete,
        scope=Scope.ADMIN,
        summary="Delete a rule of alerts",
        description="With the history of its alerts.",
        path_model=RulePath,
        query_model=NoteQuery,
        replies={204: Documented("Deleted")},
        problems=(NOT_FOUND, CONFLICT),
        **_COMMON,
    ),
)
