"""Schedules: notifications sent again and again, and templates of those that are sent by hand."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final
from uuid import UUID, uuid4

from tidings.delivery.errors import InvalidRequest
from tidings.delivery.local_time import in_zone, zone_named
from tidings.delivery.schedule import Misfire, Timing
from tidings.delivery.schedule_content import checked
from tidings.ledger.dead_letters.policies import Policies
from tidings.ledger.schedules.rows import Schedule, ScheduleState
from tidings.ledger.schedules.running import RunOtherwise
from tidings.ledger.schedules.schedules import NameTaken, NewSchedule
from tidings.operations import cursors
from tidings.operations.actor import Actor
from tidings.operations.backend import Backend
from tidings.operations.pages import PageView, page_of
from tidings.operations.schedule_views import (
    ChangeScheduleRequest,
    CreateScheduleRequest,
    ListSchedulesRequest,
    Recipient,
    RunScheduleRequest,
    RunView,
    ScheduleView,
)
from tidings_events import MODELS
from tidings_events.errors import InvalidNotification
from tidings_events.problems import ContractProblem

__all__ = [
    "ChangeScheduleRequest",
    "CreateScheduleRequest",
    "ListSchedulesRequest",
    "Misfire",
    "NameTaken",
    "RunScheduleRequest",
    "RunView",
    "ScheduleState",
    "ScheduleView",
    "create",
    "delete",
    "list_",
    "pause",
    "resume",
    "run",
    "show",
]

MOST_RUNS: Final = 1_000_000
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


async def create(backend: Backend, actor: Actor, request: CreateScheduleRequest) -> ScheduleView:
    """Store a schedule. Every notification it would send is checked now.

    Raises:
        InvalidRequest: A field of the schedule is not valid.
        InvalidNotification: Content or recipients are not; names every problem.
        NameTaken: The tenant has one of this name.
    """
    timing = _timing(request)
    misfire = _misfire(request.misfire)
    recipients = _recipients(request, repeated=timing is not None)
    content = dict(request.content)
    if request.test:
        _make_test(content)
    checked(
        content,
        recipients or (_anybody(content.get("channel")),),
        tenant=request.tenant,
    )
    now = datetime.now(UTC)
    if timing is not None and not timing.next_times(now, 0, 1):
        raise InvalidRequest(
            "nothing is due before it ends; choose a later `ends_at`", field="ends_at"
        )
    new = NewSchedule(
        tenant=request.tenant,
        name=request.name,
        timezone=request.timezone,
        timing=timing,
        misfire=misfire,
        content=content,
        recipients=recipients,
    )
    if request.dry_run:
        return ScheduleView.of(_as_if_stored(new, str(actor), now), now, reveal=True)
    schedule = await backend.ledger.schedules.create(new, actor=str(actor))
    return ScheduleView.of(schedule, now)


async def list_(backend: Backend, request: ListSchedulesRequest) -> PageView[ScheduleView]:
    """The newest schedules, without their content.

    Raises:
        InvalidRequest: The cursor is of another list.
    """
    listed, before = ("schedules", request.states, request.tenant, request.test), None
    if request.cursor is not None:
        before = cursors.decode(request.cursor, listed, UUID)
    found = await backend.ledger.schedules.list(
        request.limit + 1,
        tenant=request.tenant,
        states=request.states,
        before=before,
        test=request.test,
    )
    return page_of(
        found,
        request.limit,
        partial(ScheduleView.of, now=datetime.now(UTC)),
        lambda last: cursors.encode(str(last.id), listed),
    )


async def show(backend: Backend, request: ChangeScheduleRequest) -> ScheduleView:
    """One schedule.

    Raises:
        NotFound: There is none.
        Refused: Several tenants have one of this name.
    """
    schedule = await backend.ledger.schedules.find(request.reference, request.tenant)
    return ScheduleView.of(schedule, datetime.now(UTC), reveal=request.reveal)


async def pause(backend: Backend, actor: Actor, request: ChangeScheduleRequest) -> ScheduleView:
    """Let a schedule's times pass until it is resumed. Raises like `show`, and if it is not active."""
    found = await backend.ledger.schedules.find(request.reference, request.tenant)
    schedule = await backend.ledger.schedules.pause(found.id, actor=str(actor), note=request.note)
    return ScheduleView.of(schedule, datetime.now(UTC))


async def resume(backend: Backend, actor: Actor, request: ChangeScheduleRequest) -> ScheduleView:
    """Go on with a schedule's next time; what passed is not made up for. Raises like `show`, and if it is not paused."""
    found = await backend.ledger.schedules.find(request.reference, request.tenant)
    schedule = await backend.ledger.schedules.resume(found.id, actor=str(actor), note=request.note)
    return ScheduleView.of(schedule, datetime.now(UTC))


async def delete(backend: Backend, actor: Actor, request: ChangeScheduleRequest) -> Schedule:
    """Delete a schedule, with its recipients and content; its notifications stay. Raises like `show`."""
    found = await backend.ledger.schedules.find(request.reference, request.tenant)
    await backend.ledger.schedules.delete(found.id, actor=str(actor), note=request.note)
    return found


async def run(backend: Backend, actor: Actor, request: RunScheduleRequest) -> RunView:
    """Send a schedule's notifications now, whatever its state; its times stay as they are.

    Raises:
        InvalidRequest: There are no recipients.
        InvalidNotification: Recipients or data are not valid; names every problem.
        Refused: As `show`.
    """
    schedule = await backend.ledger.schedules.find(request.reference, request.tenant)
    recipients = schedule.recipients if request.recipients is None else request.recipients
    if not recipients:
        raise InvalidRequest("are missing; give at least one", field="recipients")
    checked(schedule.content, recipients, tenant=schedule.tenant, data=request.data)
    try:
        ids = await backend.ledger.schedules.run(
            schedule.id,
            run=request.key or uuid4().hex,
            at=schedule.created_at if request.key else None,
            expires_at=Policies(backend.settings).expires_at,
            recipients=request.recipients,
            data=request.data,
            actor=str(actor),
        )
    except RunOtherwise as error:
        raise InvalidRequest(str(error), field="Idempotency-Key") from None
    return RunView(schedule, tuple(ids))


def _make_test(content: dict[str, Any]) -> None:
    """Make all notifications with this content tests."""
    if content.get("test") not in (None, True):
        problem = "content.test: is false, and this is a test key; leave it out"
        raise InvalidNotification([ContractProblem(problem, ("content", "test"), "not_allowed")])
    content["test"] = True


def _timing(request: CreateScheduleRequest) -> Timing | None:
    if not _NAME.fullmatch(request.name):
        raise InvalidRequest(
            f"{request.name[:70]!r} is not a name; write lower-case letters, digits, - and _, at most 64",
            field="name",
        )
    zone_named(request.timezone)
    starts_at = _moment(request.starts_at, request.timezone, "starts_at")
    ends_at = _moment(request.ends_at, request.timezone, "ends_at")
    if request.cron is None:
        for name in ("starts_at", "ends_at", "max_runs"):
            if getattr(request, name) is not None:
                raise InvalidRequest("is given without `cron`; leave it out", field=name)
        return None
    if starts_at is not None and ends_at is not None and ends_at <= starts_at:
        raise InvalidRequest("is not after `starts_at`", field="ends_at")
    if ends_at is not None and ends_at <= datetime.now(UTC):
        raise InvalidRequest(f"{ends_at.isoformat()} has passed", field="ends_at")
    if request.max_runs is not None and not 1 <= request.max_runs <= MOST_RUNS:
        raise InvalidRequest(f"must be between 1 and {MOST_RUNS:,}", field="max_runs")
    return Timing(request.cron, request.timezone, starts_at, ends_at, request.max_runs)


def _moment(text: str | None, timezone: str, name: str) -> datetime | None:
    if text is None:
        return None
    try:
        written = datetime.fromisoformat(text)
        moment = in_zone(written, timezone).at if written.tzinfo is None else written
        return moment.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, InvalidRequest):
        raise InvalidRequest(
            f"{str(text)[:60]!r} is not a time; write it like 2026-12-24T18:00:00+01:00, or without the offset",
            field=name,
        ) from None


def _misfire(text: str) -> Misfire:
    try:
        return Misfire(text)
    except ValueError:
        raise InvalidRequest(f"is none of {', '.join(Misfire)}", field="misfire") from None


def _recipients(request: CreateScheduleRequest, *, repeated: bool) -> Sequence[Recipient]:
    if repeated and not request.recipients:
        raise InvalidRequest("are missing; give at least one", field="recipients")
    return list(request.recipients)


def _anybody(channel: object) -> str:
    """Stands for the recipients that a template is given later, so that its content can be checked."""
    model = MODELS.get(str(channel))
    return "" if model is None else str(model.examples["minimal"]["recipient"])


def _as_if_stored(new: NewSchedule, actor: str, now: datetime) -> Schedule:
    timing = new.timing or Timing("", new.timezone)
    return Schedule(
        id=UUID(int=0),
        tenant=new.tenant,
        name=new.name,
        cron=timing.cron or None,
        timezone=new.timezone,
        starts_at=timing.starts_at,
        ends_at=timing.ends_at,
        max_runs=timing.max_runs,
        misfire=new.misfire,
        content=new.content,
        recipients=tuple(new.recipients),
        state=ScheduleState.ACTIVE,
        next_run_at=next(timing.after(now), None) if timing.cron else None,
        runs=0,
        skipped=0,
        last_run_at=None,
        last_run=None,
        created_by=actor,
        created_at=now,
        updated_at=now,
    )
