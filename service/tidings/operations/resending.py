"""Sends a notification again as a new one: the same content under another id, to the same recipient or a corrected one."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from tidings.delivery.arrival import TimeSource
from tidings.delivery.attempt import Attempt, Lane
from tidings.delivery.errors import InvalidRequest, NotFound, Refused
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.properties import signed
from tidings.delivery.states import UNFINISHED
from tidings.ledger.dead_letters.policies import Policies
from tidings.ledger.notifications.accepting import Standing, Submission
from tidings.ledger.notifications.details import NotificationDetails
from tidings.operations.actor import Actor, app_id_of
from tidings.operations.backend import Backend
from tidings.operations.dead_letters.body import MalformedEdit, checked, with_fields
from tidings.operations.submissions.callers import Caller
from tidings.operations.submissions.errors import IdempotencyKeyReused
from tidings_events.notifications.base import new_id

ERASED: Final = "erased"
"""The recipient of a notification whose person was erased."""
NOT_COPIED: Final = ("scheduled_at", "expires_at", "idempotency_key")
"""Its times may have passed; and whoever has its idempotency key would suppress the copy."""


@dataclass(frozen=True, slots=True)
class ResendRequest:
    """A notification to be sent again."""

    id: IdPrefix
    recipient: str | None = None
    """In the place of its recipient."""
    force: bool = False
    """Also while it is under way: it may arrive twice."""
    tenant: str | None = None
    """Only if it is this tenant's."""
    caller: Caller | None = None
    """Whose Idempotency-Key recognises the repeat of this request; None if it has none."""


@dataclass(frozen=True, slots=True)
class ResentView:
    """A notification that was sent again."""

    id: UUID
    """Of the new one."""
    copy_of: UUID
    replayed: bool = False
    """Whether this repeats the answer to an earlier request with the same Idempotency-Key."""

    def as_data(self) -> dict[str, Any]:
        """The JSON of this view."""
        links = {"self": f"/v1/notifications/{self.id}"}
        return {"id": self.id, "status": "accepted", "copy_of": self.copy_of, "links": links}


async def resend(backend: Backend, actor: Actor, request: ResendRequest) -> ResentView:
    """Accept a copy of a notification. A scheduler publishes it at once.

    It goes out now, whatever times the first one had, and without its idempotency key. The history of each names the
    other.

    Raises:
        NotFound: It is not known, or it is another tenant's.
        InvalidRequest: The recipient is none for its channel.
        IdempotencyKeyReused: The Idempotency-Key came with another request before.
        Refused: It is under way and `force` is not given, or its content is gone.
        LedgerUnavailable: PostgreSQL is unavailable.
    """
    story = await _story(backend, request)
    original = story.notification
    if original.recipient == ERASED:
        raise Refused(f"the content of notification {original.id} is gone: its person was erased")
    caller = request.caller
    keyed = caller is not None and caller.idempotency_key is not None
    id_ = caller.id_for() if caller is not None else new_id()
    before = keyed and bool(await backend.ledger.accepting.stored([id_]))
    if original.state in UNFINISHED and not (request.force or before):
        raise Refused(
            f"notification {original.id} is {original.state}: it may still arrive; cancel it first, or use force"
        )
    submission = _copy(backend, actor, _body(story.body, id_, request.recipient), caller)
    stored = await backend.ledger.accepting.store_copy(submission, original.id, actor=str(actor))
    if stored.standing is Standing.CONFLICT:
        raise IdempotencyKeyReused
    return ResentView(id_, original.id, replayed=stored.known)


async def _story(backend: Backend, request: ResendRequest) -> NotificationDetails:
    story = await backend.ledger.reports.show(request.id)
    if story is None or request.tenant not in {None, story.notification.tenant}:
        raise NotFound(
            f"there is no notification {request.id.text}; what is past its retention period can't be sent again"
        )
    return story


def _body(stored: bytes, id: UUID, recipient: str | None) -> bytes:
    return with_fields(stored, _assignments(id, recipient), NOT_COPIED)


def _assignments(id: UUID, recipient: str | None) -> Iterator[str]:
    yield f"id={json.dumps(str(id))}"
    if recipient is not None:
        yield f"recipient={json.dumps(recipient)}"


def _copy(backend: Backend, actor: Actor, body: bytes, caller: Caller | None) -> Submission:
    try:
        notification = checked(body)
    except MalformedEdit as malformed:
        raise InvalidRequest("; ".join(malformed.problems), field="recipient") from None
    now = datetime.now(UTC)
    attempt = Attempt(
        notification=notification,
        body=body,
        lane=Lane(notification.channel, notification.priority),
        epoch=0,
        number=1,
        first_seen=now.replace(microsecond=now.microsecond // 1000 * 1000),
        traceparent=None if caller is None else caller.traceparent,
        time_source=TimeSource.PRODUCER,
        producer=signed({"app_id": app_id_of(actor)}),
    )
    return Submission(attempt, Policies(backend.settings).expires_at(attempt), now)
