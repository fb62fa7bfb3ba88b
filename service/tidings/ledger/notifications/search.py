"""Lists notifications newest first, and reads no more of a large ledger than it says."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from tidings.delivery.states import State
from tidings.ledger.database import Connection
from tidings.ledger.notifications.details import NotificationSummary
from tidings.ledger.notifications.troubled import TROUBLED, TROUBLED_STATES
from tidings.ledger.steps import PATIENCE, TimeLimit, steps
from tidings_events import DEFAULT_TENANT

_SUMMARY: Final = ", ".join(field.name for field in fields(NotificationSummary))
_OLDER: Final = "(accepted_at, id) < (SELECT accepted_at, id FROM notifications WHERE id = {})"
_ACCEPTED: Final = "SELECT accepted_at FROM notifications WHERE id = $1"
OF_TENANTS: Final = f"tenant <> '{DEFAULT_TENANT}'"
"""An index has these by tenant and time; an installation with one tenant pays nothing for it."""
_TICK: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Filters:
    """Which notifications; what is None says nothing."""

    channel: str | None = None
    states: tuple[State, ...] = ()
    tenant: str | None = None
    category: str | None = None
    user_id: str | None = None
    entity_type: str | None = None
    entity_id: str | None = None
    recipient: str | None = None
    """In full."""
    since: datetime | None = None
    """Accepted at this time or later."""
    until: datetime | None = None
    """Accepted before."""

    @property
    def indexed(self) -> bool:
        """Whether a small index has those that match, and not many more."""
        return set(self.states) == {State.SCHEDULED}

    @property
    def troubled(self) -> bool:
        """Whether all that match fared badly: there is an index of those."""
        return bool(self.states) and TROUBLED_STATES.issuperset(self.states)

    @property
    def path(self) -> tuple[str | None, tuple[object, ...]]:
        """What those that match have in common, as a condition with parameters from $4 on, and these: an index leads
        through them by time. However many there are of one recipient, and however few match, it is gone
        through step by step."""
        if self.entity_type is not None and self.entity_id is not None:
            return "entity_type = $4 AND entity_id = $5", (self.entity_type, self.entity_id)
        if self.user_id is not None:
            return "user_id = $4", (self.user_id,)
        if self.recipient is not None:
            return "recipient = $4", (self.recipient,)
        if self.troubled:
            return TROUBLED, ()
        if self.tenant not in {None, DEFAULT_TENANT}:
            return f"tenant = $4 AND {OF_TENANTS}", (self.tenant,)
        return None, ()


@dataclass(frozen=True, slots=True)
class Page:
    """Notifications, newest first."""

    found: tuple[NotificationSummary, ...]
    searched_since: datetime | None = None
    """There may be more that were accepted before: it would have taken too long to look. None where there is no
    more to look through, or as many were found as were wanted."""


async def page(
    connection: Connection,
    filters: Filters,
    limit: int,
    before: UUID | None = None,
    patience: float = PATIENCE,
) -> Page:
    """The newest that match; those accepted before the notification `before` where given."""
    if filters.indexed:
        return Page(await _matching(connection, filters, limit, before))
    clock, found = TimeLimit(patience), list[NotificationSummary]()
    newest = await _beginning(connection, filters, before)
    among, values = filters.path
    async for since, until in steps(connection, filters.since, newest, among, *values):
        found += await _matching(connection, filters, limit - len(found), before, since, until)
        if len(found) == limit:
            break
        if since != filters.since and clock.over:
            return Page(tuple(found), since)
    return Page(tuple(found))


async def _beginning(
    connection: Connection, filters: Filters, before: UUID | None
) -> datetime | None:
    """Before when the newest that may match were accepted."""
    if before is None:
        return filters.until
    accepted: datetime | None = await connection.fetchval(_ACCEPTED, before)
    moments = [
        bound for bound in (accepted and accepted + _TICK, filters.until) if bound is not None
    ]
    return min(moments, default=None)


async def _matching(
    connection: Connection,
    filters: Filters,
    limit: int,
    before: UUID | None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> tuple[NotificationSummary, ...]:
    where, values = _conditions(filters, before, since or filters.since, until or filters.until)
    statement = f"""
    SELECT {_SUMMARY} FROM notifications
     WHERE {where}
     ORDER BY accepted_at DESC, id DESC LIMIT ${len(values) + 1}
    """
    rows = await connection.fetch(statement, *values, limit)
    return tuple(summary(dict(row)) for row in rows)


def summary(values: dict[str, Any]) -> NotificationSummary:
    """Read the columns of a `NotificationSummary`."""
    return NotificationSummary(**{**values, "state": State(values["state"])})


def _conditions(
    filters: Filters, before: UUID | None, since: datetime | None, until: datetime | None
) -> tuple[str, Sequence[object]]:
    """Only the given filters: the planner sees plain comparisons and uses the indexes."""
    possible = (
        ("channel = {}", filters.channel),
        ("state = ANY({}::text[])", [str(state) for state in filters.states] or None),
        ("tenant = {}", filters.tenant),
        ("category = {}", filters.category),
        ("user_id = {}", filters.user_id),
        ("entity_type = {}", filters.entity_type),
        ("entity_id = {}", filters.entity_id),
        ("recipient = {}", filters.recipient),
        ("accepted_at >= {}", since),
        ("accepted_at < {}", until),
        (_OLDER, before),
    )
    given = [(condition, value) for condition, value in possible if value is not None]
    conditions = [
        condition.format(f"${place}") for place, (condition, _) in enumerate(given, start=1)
    ]
    if set(filters.states) == {State.SCHEDULED}:
        conditions.append("dispatch_at IS NOT NULL")  # has an index of its own
    if filters.tenant not in {None, DEFAULT_TENANT}:
        conditions.append(OF_TENANTS)
    return " AND ".join([TROUBLED if filters.troubled else "true", *conditions]), [
        value for _, value in given
    ]
