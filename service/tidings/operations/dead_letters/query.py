"""Selects the dead letters of an operation: ids or a filter."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Self, TypeVar
from uuid import UUID

from tidings.delivery.dead_letter import DeadLetterState
from tidings.delivery.errors import InvalidRequest
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.outcome import Reason
from tidings.ledger.dead_letters.search import DeadLetterFilter, DeadLetterSearch
from tidings.operations import filters
from tidings.operations.times import moment

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class DeadLetterQuery:
    """Which dead letters, by their ids, by a filter, or by both."""

    ids: tuple[IdPrefix, ...] = ()
    """Of dead letters or of their notifications."""
    narrowed: DeadLetterFilter = field(default_factory=DeadLetterFilter)

    @classmethod
    def read(
        cls,
        *,
        ids: Iterable[IdPrefix] | None = None,
        channel: str | None = None,
        reason: Reason | None = None,
        fingerprint: str | None = None,
        since: str | None = None,
        until: str | None = None,
        user: str | None = None,
        entity: str | None = None,
        tenant: str | None = None,
        category: str | None = None,
        to: str | None = None,
        id_prefix: IdPrefix | None = None,
        states: Iterable[DeadLetterState] = (),
        test: bool | None = None,
    ) -> Self:
        """Read a filter as it is written; what is None says nothing.

        Tests are left out, unless `test` asks for them or ids name them.

        Raises:
            InvalidRequest: A value can't be read, or two contradict each other.
        """
        if fingerprint is not None and not re.fullmatch(r"[0-9a-f]{1,64}", fingerprint):
            raise InvalidRequest(
                f"{fingerprint!r}: a fingerprint is hexadecimal", field="fingerprint"
            )
        type_, id_ = _read(filters.entity, entity, "entity") or (None, None)
        narrowed = DeadLetterFilter(
            channel=channel,
            reason=reason,
            fingerprint=fingerprint,
            since=_read(_moment, since, "since"),
            until=_read(_moment, until, "until"),
            user_id=user,
            entity_type=type_,
            entity_id=id_,
            tenant=_read(filters.tenant, tenant, "tenant"),
            category=category,
            recipient=to,
            id_prefix=id_prefix,
            states=tuple(states),
            test=test or (None if ids or id_prefix is not None else False),
        )
        return cls(tuple(ids or ()), narrowed)

    @classmethod
    def of(cls, dead_letters: Iterable[UUID]) -> Self:
        """These very ones, by their own ids."""
        return cls(narrowed=DeadLetterFilter(ids=tuple(dead_letters)))

    @property
    def named(self) -> bool:
        """Whether it names each of them."""
        return bool(self.ids or self.narrowed.ids)

    @property
    def selects(self) -> bool:
        """Whether it filters by anything but the state, and whether they are tests."""
        return bool(self.ids) or self.narrowed.selects

    async def resolved(
        self, search: DeadLetterSearch, *states: DeadLetterState
    ) -> DeadLetterFilter:
        """The filter that the ledger takes.

        Args:
            states: In one of these, whatever the query says.

        Raises:
            Refused: One of the ids is not known, or means several.
        """
        found = [await search.resolve(prefix) for prefix in self.ids]
        ids = dict.fromkeys((*self.narrowed.ids, *found))
        return replace(self.narrowed, ids=tuple(ids), states=states or self.narrowed.states)


def _read(parse: Callable[[str], Value], text: str | None, name: str) -> Value | None:
    if text is None:
        return None
    try:
        return parse(text)
    except ValueError as error:
        raise InvalidRequest(str(error), field=name) from None


def _moment(text: str) -> datetime:
    return moment(text.removesuffix(" ago"))
