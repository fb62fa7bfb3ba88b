"""Filters of a list of messages, as conditions of the statement that reads it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tidings.ledger.inbox.messages import ARCHIVED, FEED, SNOOZED

OF_USER: Final = "tenant = $1 AND user_id = $2"
"""Stands in every statement: nothing of anybody else is read or changed."""


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """Which messages of a user: those that match all that is given. By default those of the feed."""

    archived: bool = False
    """Of the archive, in place of the feed."""
    snoozed: bool = False
    """Of those that are snoozed, in place of the feed."""
    unread: bool | None = None
    unseen: bool | None = None
    """Reading a message counts as seeing it."""
    categories: tuple[str, ...] = ()
    """One of them has to match."""
    types: tuple[str, ...] = ()
    severities: tuple[str, ...] = ()
    entity_type: str | None = None
    entity_id: str | None = None
    text: str | None = None
    """A part of the title or the body, whatever the case of its letters."""

    @property
    def indexed(self) -> bool:
        """Whether an index has those that match, and no others: not every message has to be looked at."""
        rest = (self.categories, self.types, self.severities, self.entity_type, self.entity_id)
        return self.text is None and not any(rest) and not self._by_reading_elsewhere

    @property
    def _by_reading_elsewhere(self) -> bool:
        """Whether messages are told apart by reading in a way that no index does."""
        if self.archived or self.snoozed:
            return self.unread is not None or self.unseen is not None
        return self.unread is False or self.unseen is not None

    def listed(self) -> str:
        """The condition of the list that they are in, which an index has."""
        place = ARCHIVED if self.archived else SNOOZED if self.snoozed else FEED
        return f"{place} AND read_at IS NULL" if self.unread or self.unseen else place

    def conditions(self, arguments: list[object]) -> Iterator[str]:
        """What else has to be true.

        Args:
            arguments: Of the statement; values are added.
        """
        if self.unread is False:
            yield "read_at IS NOT NULL"
        if self.unseen is not None:
            yield (
                "seen_at IS NULL" if self.unseen else "(read_at IS NOT NULL OR seen_at IS NOT NULL)"
            )
        yield from _any("category", self.categories, arguments)
        yield from _any("type", self.types, arguments)
        yield from _any("severity", self.severities, arguments)
        if self.entity_type is not None:
            yield f"entity_type = {added(arguments, self.entity_type)}"
        if self.entity_id is not None:
            yield f"entity_id = {added(arguments, self.entity_id)}"
        if self.text is not None:
            part = f"lower({added(arguments, self.text)}::text)"
            yield f"(strpos(lower(title), {part}) > 0 OR strpos(lower(body), {part}) > 0)"

    def matching(self, arguments: list[object]) -> str:
        """The whole condition. Takes `arguments` like `conditions`."""
        return " AND ".join((self.listed(), *self.conditions(arguments)))


def added(arguments: list[object], value: object) -> str:
    """Add a value to the arguments of a statement; how the statement names it."""
    arguments.append(value)
    return f"${len(arguments)}"


def _any(column: str, values: Sequence[str], arguments: list[object]) -> Iterator[str]:
    if len(values) == 1:
        yield f"{column} = {added(arguments, values[0])}"
    elif values:
        yield f"{column} = ANY({added(arguments, list(values))}::text[])"
