"""`POST /v1/notifications`: one, one content for many, or a batch; accepted, or only validated."""

import re
from collections.abc import Mapping
from typing import Final, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field
from starlette.datastructures import Headers

from tidings.api.notification_schemas import ADDRESSED, TO_MANY, any_channel
from tidings.api.problems import CONFLICT
from tidings.api.replies.notifications import ReplyModel
from tidings.api.route import (
    AnyCall,
    Call,
    Documented,
    Parameters,
    Reply,
    RequestHeader,
    Route,
)
from tidings.delivery.errors import InvalidRequest
from tidings.operations.scopes import Scope
from tidings.operations.submissions import checking, several, single
from tidings.operations.submissions.callers import Caller
from tidings.operations.submissions.listing import MOST, parts_if_several

KEY: Final = "Idempotency-Key"
LONGEST_KEY: Final = 255
REPLAYED: Final = {"Idempotent-Replayed": "true"}
_QUOTED: Final = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_BARE: Final = re.compile(r"[!#-~][!-~]*")
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
KEY_HEADER: Final = {
    KEY: RequestHeader(
        "Recognises the repeat of a request: up to 255 characters, bare or in double quotes.",
        r'^([!#-~][!-~]{0,254}|"([ !#-\[\]-~]|\\["\\]){1,255}")$',
    )
}
"""Of the routes that read it, for the OpenAPI document."""
_REPLAYED: Final = {
    "Idempotent-Replayed": "`true` if this repeats the answer to an earlier request."
}

EXAMPLE_ID: Final = "0198c2f4-5a10-7c3e-9d55-3f6f1a2b4c5d"
EXAMPLE: Final = {
    "channel": "email",
    "recipient": "jane@example.com",
    "subject": "Your order has shipped",
    "body": "It arrives tomorrow.",
}
ACCEPTED: Final = {
    "id": EXAMPLE_ID,
    "status": "accepted",
    "links": {"self": f"/v1/notifications/{EXAMPLE_ID}"},
}
ITEM: Final = {"index": 0, **ACCEPTED}


class LinksReply(ReplyModel):
    """Addresses of it."""

    self: str
    """Of the notification."""


class FieldErrorReply(ReplyModel):
    """One problem of a notification."""

    pointer: str
    code: str
    detail: str


class SubmittedReply(ReplyModel):
    """An accepted notification."""

    id: UUID
    status: Literal["accepted", "duplicate"]
    """`duplicate`: it was accepted before, or another was that has its `idempotency_key`."""
    links: LinksReply
    duplicate_of: UUID | None = None
    """The notification that has its `idempotency_key`."""
    scheduled_at: AwareDatetime | None = None
    """The instant of a due time that was given as a local time; so `timezone` and `adjustment`."""
    timezone: str | None = None
    adjustment: str | None = None
    """`gap` or `fold` if clocks are put forward or back over the local time; else null."""


class SubmittedItemReply(ReplyModel):
    """One notification of several."""

    index: int
    """Its place in the request, from 0."""
    status: Literal["accepted", "duplicate", "invalid", "unavailable"]
    """`unavailable`: it can't be accepted now, but may have been; send it again with this `id`."""
    id: UUID | None = None
    links: LinksReply | None = None
    duplicate_of: UUID | None = None
    scheduled_at: AwareDatetime | None = None
    """The instant of a due time that was given as a local time; so `timezone` and `adjustment`."""
    timezone: str | None = None
    adjustment: str | None = None
    """`gap` or `fold` if clocks are put forward or back over the local time; else null."""
    errors: list[FieldErrorReply] | None = None
    """Of an invalid or unavailable one."""


class SeveralReply(ReplyModel):
    """What became of each notification of a request."""

    accepted: int
    duplicate: int
    invalid: int
    unavailable: int
    notifications: list[SubmittedItemReply]


class ValidReply(ReplyModel):
    """It would be accepted."""

    valid: Literal[True]
    notification_count: int
    """How many it would be."""


class BatchQuery(Parameters):
    """How a batch is accepted."""

    atomic: bool = Field(default=False, description="Accept all or none.", examples=[True])


async def _submit(call: AnyCall) -> Reply:
    caller = sender(call)
    if (parts := parts_if_several(call.body)) is not None:
        request = several.SubmitSeveralRequest(caller, call.body, parts=parts)
        return _several(await several.submit_to_recipients(call.backend, call.actor, request))
    view = await single.submit(call.backend, call.actor, single.SubmitRequest(caller, call.body))
    return Reply(view, 202 if view.new else 200, REPLAYED if view.replayed else {})


async def _submit_batch(call: Call[Parameters, BatchQuery, bytes]) -> Reply:
    request = several.SubmitSeveralRequest(sender(call), call.body, call.query.atomic)
    return _several(await several.submit_batch(call.backend, call.actor, request))


async def _validate(call: AnyCall) -> Reply:
    caller = Caller(call.principal.key, call.principal.key_hash, call.tenant, test=call.test)
    request = checking.ValidateRequest(caller, call.body)
    return Reply(await checking.validate(call.backend, call.actor, request))


def _several(view: several.SeveralView) -> Reply:
    return Reply(view, 202, REPLAYED if view.replayed else {})


def sender(call: AnyCall) -> Caller:
    """Whose request it is.

    Raises:
        InvalidRequest: Its Idempotency-Key is none.
    """
    traceparent = call.headers.get("traceparent", "")
    return Caller(
        call.principal.key,
        call.principal.key_hash,
        call.tenant,
        idempotency_key(call.headers),
        traceparent if _TRACEPARENT.fullmatch(traceparent) else None,
        call.test,
    )


def idempotency_key(headers: Headers | Mapping[str, str]) -> str | None:
    """The request's Idempotency-Key, in double quotes as the draft has it
    (draft-ietf-httpapi-idempotency-key-header) or bare as most send it; None if it has none.

    Raises:
        InvalidRequest: It is empty, too long or no text of ASCII.
    """
    given = headers.get(KEY)
    if given is None:
        return None
    text = given.strip()
    if quoted := _QUOTED.fullmatch(text):
        text = re.sub(r"\\(.)", r"\1", quoted[1])
    elif not _BARE.fullmatch(text):
        text = ""
    if not 0 < len(text) <= LONGEST_KEY:
        raise InvalidRequest(
            f"is not 1 to {LONGEST_KEY} visible characters of ASCII; use a UUID", field=KEY
        )
    return text


ROUTES: Final = (
    Route(
        "POST",
        "/v1/notifications",
        _submit,
        scope=Scope.SEND,
        summary="Submit a notification, to one recipient or to many",
        description=(
            "202 is a promise: it will not be lost. Without an `id` it gets one. With `recipients` each gets a "
            "notification with the same content: all or none. The tenant is the key's. With a test key it is a test."
        ),
        tag="notifications",
        reads_bytes=True,
        body_schema=any_channel(TO_MANY),
        body_example=EXAMPLE,
        request_headers=KEY_HEADER,
        replies={
            200: Documented(
                "It was accepted before",
                SubmittedReply,
                {**ACCEPTED, "status": "duplicate"},
                headers=_REPLAYED,
            ),
            202: Documented("Accepted", SubmittedReply | SeveralReply, ACCEPTED, headers=_REPLAYED),
        },
        problems=(CONFLICT,),
    ),
    Route(
        "POST",
        "/v1/notifications/batch",
        _submit_batch,
        scope=Scope.SEND,
        summary="Submit up to 1,000 notifications that differ",
        description=(
            "Answered item by item; with `atomic=true` all are accepted or none. If none is valid, nothing is "
            "accepted and the reply is 422; if none can be accepted now, it is 503."
        ),
        tag="notifications",
        query_model=BatchQuery,
        reads_bytes=True,
        body_schema={
            "type": "object",
            "required": ["notifications"],
            "properties": {
                "notifications": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": MOST,
                    "items": any_channel(ADDRESSED),
                }
            },
            "additionalProperties": False,
        },
        body_example={"notifications": [EXAMPLE]},
        request_headers=KEY_HEADER,
        replies={
            202: Documented(
                "What became of each",
                SeveralReply,
                {
                    "accepted": 1,
                    "duplicate": 0,
                    "invalid": 0,
                    "unavailable": 0,
                    "notifications": [ITEM],
                },
                headers=_REPLAYED,
            )
        },
        problems=(CONFLICT,),
    ),
    Route(
        "POST",
        "/v1/notifications/validate",
        _validate,
        scope=Scope.SEND,
        summary="Validate a notification without sending it",
        description="Finds the problems that submitting it would, and those of its template. Nothing is stored.",
        tag="notifications",
        reads_bytes=True,
        body_schema=any_channel(TO_MANY),
        body_example=EXAMPLE,
        replies={
            200: Documented("It is valid", ValidReply, {"valid": True, "notification_count": 1})
        },
    ),
)
