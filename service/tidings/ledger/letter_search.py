"""Finds dead letters: by id, by what they have in common, in groups that died of the same fault."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from tidings.delivery.errors import Refused
from tidings.delivery.letter import LetterState
from tidings.delivery.outcome import Reason
from tidings.ledger.database import Database
from tidings.ledger.letter_rows import LETTER, StoredLetter

SHORTEST_PREFIX: Final = 4
MOST_CANDIDATES: Final = 5

FIND: Final = """
SELECT id FROM dead_letters WHERE id BETWEEN $1 AND $2
 UNION
SELECT id FROM dead_letters WHERE notification_id = $1 AND $1 = $2 AND state <> 'superseded'
 LIMIT $3
"""

TOO_LATE: Final = (
    "(d.reason = 'expired' AND d.supersedes IS NULL OR coalesce(n.expires_at <= now(), false))"
)


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which letters; what is None or empty says nothing."""

    ids: tuple[UUID, ...] = ()
    channel: str | None = None
    reason: Reason | None = None
    fingerprint: str | None = None
    """Or its beginning."""
    since: datetime | None = None
    """Buried at this time or later."""
    until: datetime | None = None
    """Buried before."""
    category: str | None = None
    user_id: str | None = None
    entity_type: str | None = None
    entity_id: str | None = None
    states: tuple[LetterState, ...] = ()

    @property
    def selects(self) -> bool:
        """Whether it says anything but which states."""
        return bool(_conditions(self, states=False))


@dataclass(frozen=True, slots=True)
class Chosen:
    """A letter to be replayed."""

    id: UUID
    size: int
    """Bytes of its body."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Letters chosen to be replayed, oldest first, and those left out for a person to decide."""

    letters: tuple[Chosen, ...]
    uncertain: int
    """Perhaps delivered already."""
    too_late: int
    """Would expire again."""


@dataclass(frozen=True, slots=True)
class Group:
    """Letters that died of the same fault."""

    fingerprint: str
    letters: int
    channel: str | None
    reason: Reason
    kind: str
    code: str
    message: str
    """Of the latest."""
    first_at: datetime
    last_at: datetime
    example: UUID
    """The latest."""


class LetterSearch:
    """Reads dead letters, and changes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def resolve(self, text: str) -> UUID:
        """A letter's id from its beginning, or from its notification's whole id.

        Raises:
            Refused: None begins so, several do, or it is no id.
        """
        lowest, highest = _range(text)
        async with self._database.connection() as connection:
            rows = await connection.fetch(FIND, lowest, highest, MOST_CANDIDATES + 1)
        match [str(row["id"]) for row in rows]:
            case []:
                raise Refused(f"there is no dead letter {text}; `tidings dead list` shows them")
            case [only]:
                return UUID(only)
            case several:
                shown = ", ".join(sorted(several)[:MOST_CANDIDATES])
                raise Refused(f"{text} means several letters: {shown}, …; give more digits")

    async def get(self, letter: UUID) -> tuple[StoredLetter, bytes] | None:
        """A letter and its body."""
        statement = f"SELECT {LETTER}, d.body FROM dead_letters d WHERE d.id = $1"
        async with self._database.connection() as connection:
            row = await connection.fetchrow(statement, letter)
        if row is None:
            return None
        values = dict(row)
        body: bytes = values.pop("body")
        return StoredLetter.of(values), body

    async def list(self, wanted: LetterFilter, limit: int) -> Sequence[StoredLetter]:
        """The newest that match, newest first."""
        where, values = _where(wanted)
        statement = f"""
            SELECT {LETTER} FROM dead_letters d WHERE {where}
             ORDER BY d.buried_at DESC, d.id LIMIT ${len(values) + 1}
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(statement, *values, limit)
        return [StoredLetter.of(row) for row in rows]

    async def count(self, wanted: LetterFilter) -> int:
        """How many match."""
        where, values = _where(wanted)
        async with self._database.connection() as connection:
            found: int = await connection.fetchval(
                f"SELECT count(*) FROM dead_letters d WHERE {where}", *values
            )
        return found

    async def ids(self, wanted: LetterFilter, limit: int | None = None) -> Sequence[UUID]:
        """Those that match, oldest first."""
        where, values = _where(wanted)
        statement = f"""
            SELECT d.id FROM dead_letters d WHERE {where}
             ORDER BY d.buried_at, d.id LIMIT ${len(values) + 1}
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(statement, *values, limit)
        return [row["id"] for row in rows]

    async def select(self, wanted: LetterFilter, limit: int | None = None) -> Selection:
        """Those to be replayed. Where neither ids nor the reason are asked for, what was perhaps
        delivered and what would expire again is left out and counted."""
        where, values = _where(wanted)
        uncertain = (
            f"(d.reason = 'outcome_unknown' AND NOT {_said(wanted, Reason.OUTCOME_UNKNOWN)})"
        )
        too_late = f"({TOO_LATE} AND NOT {_said(wanted, Reason.EXPIRED)})"
        joined = (
            f"dead_letters d LEFT JOIN notifications n ON n.id = d.notification_id WHERE {where}"
        )
        counts = f"""
            SELECT count(*) FILTER (WHERE {uncertain}) AS uncertain,
                   count(*) FILTER (WHERE {too_late} AND NOT {uncertain}) AS too_late FROM {joined}
        """
        chosen = f"""
            SELECT d.id, octet_length(d.body) AS size FROM {joined} AND NOT {uncertain} AND NOT {too_late}
             ORDER BY d.buried_at, d.id LIMIT ${len(values) + 1}
        """
        async with self._database.connection() as connection:
            left_out = await connection.fetchrow(counts, *values)
            rows = await connection.fetch(chosen, *values, limit)
        assert left_out is not None  # noqa: S101  # for the type checker: an aggregate has a row
        letters = tuple(Chosen(row["id"], row["size"]) for row in rows)
        return Selection(letters, left_out["uncertain"], left_out["too_late"])

    async def groups(self, wanted: LetterFilter, limit: int) -> Sequence[Group]:
        """The largest groups that match."""
        where, values = _where(wanted)
        statement = f"""
            WITH grouped AS (
                SELECT d.fingerprint, count(*) AS letters, min(d.first_failed_at) AS first_at,
                       max(d.last_failed_at) AS last_at, (array_agg(d.id ORDER BY d.buried_at DESC))[1] AS example
                  FROM dead_letters d WHERE {where}
                 GROUP BY d.fingerprint
                 ORDER BY letters DESC, d.fingerprint LIMIT ${len(values) + 1}
            )
            SELECT g.*, d.channel, d.reason, d.kind, d.code, d.message
              FROM grouped g JOIN dead_letters d ON d.id = g.example
             ORDER BY g.letters DESC, g.fingerprint
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(statement, *values, limit)
        return [Group(**{**dict(row), "reason": Reason(row["reason"])}) for row in rows]


def _said(wanted: LetterFilter, reason: Reason) -> str:
    """Whether a person asked for these very letters: then that person has decided."""
    return "true" if wanted.ids or wanted.reason is reason else "false"


def _range(text: str) -> tuple[UUID, UUID]:
    digits = text.strip().lower().replace("-", "")
    if not SHORTEST_PREFIX <= len(digits) <= 32 or set(digits) - set("0123456789abcdef"):
        raise Refused(
            f"{text!r} is not an id: write a UUID, or at least its first {SHORTEST_PREFIX} digits"
        )
    return UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))


def _where(wanted: LetterFilter) -> tuple[str, list[object]]:
    """Only what was asked: the planner sees plain comparisons and uses the indexes."""
    given = _conditions(wanted)
    conditions = (
        condition.format(f"${place}") for place, (condition, _) in enumerate(given, start=1)
    )
    return " AND ".join(conditions) or "true", [value for _, value in given]


def _conditions(wanted: LetterFilter, *, states: bool = True) -> list[tuple[str, Any]]:
    return [(condition, value) for condition, value in _asked(wanted, states=states) if value]


def _asked(wanted: LetterFilter, *, states: bool) -> Iterator[tuple[str, Any]]:
    yield "d.id = ANY({}::uuid[])", list(wanted.ids)
    yield "d.channel = {}", wanted.channel
    yield "d.reason = {}", wanted.reason and wanted.reason.value
    yield "d.fingerprint LIKE {} || '%'", wanted.fingerprint
    yield "d.buried_at >= {}", wanted.since
    yield "d.buried_at < {}", wanted.until
    yield "d.category = {}", wanted.category
    yield "d.user_id = {}", wanted.user_id
    yield "d.entity_type = {}", wanted.entity_type
    yield "d.entity_id = {}", wanted.entity_id
    if states:
        yield "d.state = ANY({}::text[])", [state.value for state in wanted.states]
