"""Answers what happened: to one notification, to those that match, to all in a while."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final, Self
from uuid import UUID

from tidings.delivery.errors import Refused
from tidings.delivery.states import State
from tidings.ledger.database import Connection, Database
from tidings.ledger.statistics import Statistics, statistics
from tidings.ledger.stories import Asked, Burial, Change, Story, Summary, Try

SHORTEST_PREFIX: Final = 8
MOST_CANDIDATES: Final = 10


def _columns(kind: type) -> str:
    return ", ".join(field.name for field in fields(kind))


FIND: Final = "SELECT id FROM notifications WHERE id BETWEEN $1 AND $2 ORDER BY id LIMIT $3"
NOTIFICATION: Final = f"SELECT {_columns(Summary)}, body FROM notifications WHERE id = $1"
HISTORY: Final = (
    f"SELECT {_columns(Change)} FROM history WHERE notification_id = $1 ORDER BY epoch, at, step"
)
ATTEMPTS: Final = (
    f"SELECT {_columns(Try)} FROM attempts WHERE notification_id = $1 ORDER BY epoch, attempt"
)
ASKED: Final = (
    f"SELECT {_columns(Asked)} FROM tries WHERE notification_id = $1 ORDER BY epoch, attempt, place"
)
LETTERS: Final = f"""
SELECT {_columns(Burial)} FROM dead_letters
 WHERE notification_id BETWEEN $1 AND $2 OR id BETWEEN $1 AND $2
 ORDER BY buried_at LIMIT $3
"""
OLDER: Final = "(accepted_at, id) < (SELECT accepted_at, id FROM notifications WHERE id = {})"


@dataclass(frozen=True, slots=True)
class IdPrefix:
    """The first digits of an id, or all of them."""

    lowest: UUID
    highest: UUID

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an id or its first digits, with or without dashes.

        Raises:
            ValueError: Too few digits, too many, or not hexadecimal.
        """
        digits = text.strip().lower().replace("-", "")
        if not SHORTEST_PREFIX <= len(digits) <= 32 or set(digits) - set("0123456789abcdef"):
            raise ValueError(
                f"{text!r} is not an id: write a UUID, or at least its first {SHORTEST_PREFIX} digits"
            )
        return cls(UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f")))


@dataclass(frozen=True, slots=True)
class Filters:
    """Which notifications; what is None says nothing."""

    channel: str | None = None
    states: tuple[State, ...] = ()
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


class Reports:
    """Reads, and changes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, prefix: IdPrefix) -> UUID | None:
        """The one notification whose id begins so.

        Raises:
            Refused: Several do; names them.
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(FIND, prefix.lowest, prefix.highest, MOST_CANDIDATES + 1)
        if len(rows) > 1:
            shown = ", ".join(str(row["id"]) for row in rows[:MOST_CANDIDATES])
            more = " and more" if len(rows) > MOST_CANDIDATES else ""
            raise Refused(f"several notifications begin so: {shown}{more}; give more digits")
        return rows[0]["id"] if rows else None

    async def show(self, id: UUID | IdPrefix) -> Story | None:
        """Everything about one notification; None where there is none.

        Raises:
            Refused: Several begin with this prefix; names them.
        """
        found = await self.find(id) if isinstance(id, IdPrefix) else id
        async with self._database.connection() as connection:
            row = await connection.fetchrow(NOTIFICATION, found) if found else None
            return None if row is None else await self._story(connection, row)

    async def _story(self, connection: Connection, row: Any) -> Story:
        values = dict(row)
        id_, body = values["id"], values.pop("body")
        history = await connection.fetch(HISTORY, id_)
        attempts = await connection.fetch(ATTEMPTS, id_)
        letters = await connection.fetch(LETTERS, id_, id_, 1_000)
        asked = await connection.fetch(ASKED, id_)
        return Story(
            notification=_summary(values),
            body=body,
            history=tuple(Change(**dict(one)) for one in history),
            attempts=tuple(Try(**{**one, "state": State(one["state"])}) for one in attempts),
            letters=tuple(Burial(**dict(one)) for one in letters),
            asked=tuple(Asked(**dict(one)) for one in asked),
        )

    async def letters(self, prefix: IdPrefix) -> tuple[Burial, ...]:
        """Dead letters by their own id or their notification's: what never became a notification is there."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(LETTERS, prefix.lowest, prefix.highest, MOST_CANDIDATES)
        return tuple(Burial(**dict(row)) for row in rows)

    async def list(
        self, filters: Filters, limit: int, *, before: UUID | None = None
    ) -> tuple[Summary, ...]:
        """The newest that match, newest first; those accepted before the notification `before` where given."""
        where, values = _conditions(filters, before)
        statement = f"""
        SELECT {_columns(Summary)} FROM notifications
         WHERE {where}
         ORDER BY accepted_at DESC, id DESC LIMIT ${len(values) + 1}
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(statement, *values, limit)
        return tuple(_summary(dict(row)) for row in rows)

    async def stats(self, since: datetime, until: datetime | None = None) -> Statistics:
        """Numbers about everything accepted since then."""
        async with self._database.connection() as connection:
            return await statistics(connection, since, until)


def _summary(values: dict[str, Any]) -> Summary:
    return Summary(**{**values, "state": State(values["state"])})


def _conditions(filters: Filters, before: UUID | None) -> tuple[str, list[object]]:
    """Only what was asked: the planner sees plain comparisons and uses the indexes."""
    asked = (
        ("channel = {}", filters.channel),
        ("state = ANY({}::text[])", [str(state) for state in filters.states] or None),
        ("category = {}", filters.category),
        ("user_id = {}", filters.user_id),
        ("entity_type = {}", filters.entity_type),
        ("entity_id = {}", filters.entity_id),
        ("recipient = {}", filters.recipient),
        ("accepted_at >= {}", filters.since),
        ("accepted_at < {}", filters.until),
        (OLDER, before),
    )
    given = [(condition, value) for condition, value in asked if value is not None]
    conditions = (
        condition.format(f"${place}") for place, (condition, _) in enumerate(given, start=1)
    )
    return " AND ".join(conditions) or "true", [value for _, value in given]
