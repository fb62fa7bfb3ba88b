"""Filters of a list of notifications, and the index that leads to what they match."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Self

from tidings.delivery.states import State
from tidings.ledger.notifications.troubled import TROUBLED, TROUBLED_STATES
from tidings_events import DEFAULT_TENANT

OVERDUE: Final = 60.0
"""Seconds after its time from which a notification that is not published, or a schedule that has not run, is overdue."""
OF_TENANTS: Final = f"tenant <> '{DEFAULT_TENANT}'"
"""An index has these by tenant and time; an installation with one tenant pays nothing for it."""
_OF_ENTITIES: Final = """EXISTS (SELECT FROM unnest({}::text[], {}::text[]) AS e (type, id)
                   WHERE n.entity_type = e.type AND (e.id IS NULL OR n.entity_id = e.id))"""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which notifications: those that match all that is given, and of each one of its values."""

    channels: tuple[str, ...] = ()
    states: tuple[State, ...] = ()
    priorities: tuple[str, ...] = ()
    tenant: str | None = None
    categories: tuple[str, ...] = ()
    user_ids: tuple[str, ...] = ()
    entities: tuple[tuple[str, str | None], ...] = ()
    """Type and id; any of the type where the id is None."""
    recipients: tuple[str, ...] = ()
    """In full."""
    templates: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    error_classes: tuple[str, ...] = ()
    """Of the last attempt, if it failed."""
    subject: str | None = None
    """A part of it, whatever the case of its letters."""
    since: datetime | None = None
    """Accepted at this time or later."""
    until: datetime | None = None
    """Accepted before."""
    overdue: bool = False
    """Only those due for more than `OVERDUE`, and not published."""
    test: bool = False
    """Tests, in place of what is no test."""

    @property
    def indexed(self) -> bool:
        """Whether a small index has those that match, and not many more."""
        return self.overdue or set(self.states) == {State.SCHEDULED}

    @property
    def troubled(self) -> bool:
        """Whether all that match fared badly: there is an index of those."""
        in_trouble = bool(self.states) and TROUBLED_STATES.issuperset(self.states)
        return in_trouble or bool(self.error_classes)

    def one_by_one(self) -> Iterator[Self]:
        """The same filters, once for each value of the one whose index is used: its rows are in order for one value only."""
        if self.entities and all(id_ is not None for _, id_ in self.entities):
            yield from (
                replace(self, entities=(entity,)) for entity in dict.fromkeys(self.entities)
            )
        elif self.user_ids:
            yield from (replace(self, user_ids=(user,)) for user in dict.fromkeys(self.user_ids))
        elif self.recipients:
            yield from (
                replace(self, recipients=(recipient,))
                for recipient in dict.fromkeys(self.recipients)
            )
        else:
            yield self

    @property
    def path(self) -> tuple[str | None, tuple[object, ...]]:
        """What those that match have in common, as a condition with parameters from $4 on, and these: an index leads
        through them by time. However many there are of one recipient, and however few match, it is gone
        through step by step."""
        match self:
            case Filters(entities=((type_, str() as id_),)):
                return "entity_type = $4 AND entity_id = $5", (type_, id_)
            case Filters(user_ids=(user_id,)):
                return "user_id = $4", (user_id,)
            case Filters(recipients=(recipient,)):
                return "recipient = $4", (recipient,)
            case _:
                pass
        if self.test or self.troubled:
            return "test" if self.test else TROUBLED, ()
        if self.tenant not in {None, DEFAULT_TENANT}:
            return f"tenant = $4 AND {OF_TENANTS}", (self.tenant,)
        return None, ()

    # One value of what is spelt out where nothing matches.

    @property
    def category(self) -> str | None:
        """The first."""
        return next(iter(self.categories), None)

    @property
    def entity_type(self) -> str | None:
        """The first."""
        return next((type_ for type_, _ in self.entities), None)

    def conditions(self) -> Iterator[tuple[str, tuple[object, ...]]]:
        """Conditions on `notifications n`, each with a `{}` for each of its values: only of what is given, so that the
        planner sees plain comparisons and uses the indexes."""
        yield from _any("n.channel", self.channels)
        yield from _any("n.state", [str(state) for state in self.states])
        yield from _any("n.priority", self.priorities)
        yield from _any("n.category", self.categories)
        yield from _any("n.user_id", self.user_ids)
        yield from _any("n.recipient", self.recipients)
        yield from _any("n.template", self.templates)
        yield from _any("n.provider", self.providers)
        yield from _any("n.failure_kind", self.error_classes)
        match self.entities:
            case ((type_, None),):
                yield "n.entity_type = {}", (type_,)
            case ((type_, id_),):
                yield "n.entity_type = {} AND n.entity_id = {}", (type_, id_)
            case (_, *_):
                types, ids = zip(*self.entities, strict=True)
                yield _OF_ENTITIES, (list(types), list(ids))
            case _:
                pass
        yield "n.test" if self.test else "NOT n.test", ()
        if self.tenant is not None:
            yield "n.tenant = {}", (self.tenant,)
        if self.tenant not in {None, DEFAULT_TENANT}:
            yield OF_TENANTS, ()
        if self.subject is not None:
            yield "strpos(lower(n.subject), lower({}::text)) > 0", (self.subject,)
        if self.troubled:
            yield TROUBLED, ()
        if self.overdue:
            yield f"n.dispatch_at < now() - {OVERDUE} * interval '1 second'", ()
        elif self.indexed:
            yield "n.dispatch_at IS NOT NULL", ()  # has an index of its own


def _any(column: str, values: Sequence[str]) -> Iterator[tuple[str, tuple[object, ...]]]:
    if len(values) == 1:
        yield f"{column} = {{}}", (values[0],)
    elif values:
        yield f"{column} = ANY({{}}::text[])", (list(values),)
