"""Finds dead letters by id and by filter."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any, Final
from uuid import UUID

from asyncpg import Record

from tidings.delivery.dead_letter import OPEN, DeadLetterState
from tidings.delivery.errors import NotFound, Refused
from tidings.delivery.fingerprint import LENGTH
from tidings.delivery.id_prefix import IdPrefix, ambiguous, contains_digits
from tidings.delivery.outcome import Reason
from tidings.ledger.database import Connection, Database
from tidings.ledger.dead_letters.rows import DEAD_LETTER, StoredDeadLetter
from tidings.ledger.notifications.filters import OF_TENANTS
from tidings.ledger.positions import Position
from tidings_events import DEFAULT_TENANT

FIND: Final = """
SELECT id FROM dead_letters WHERE id BETWEEN $1 AND $2
 UNION
SELECT id FROM dead_letters WHERE notification_id = $1 AND $1 = $2 AND state <> 'superseded'
 LIMIT $3
"""
OF_NOTIFICATION: Final = """
SELECT id FROM dead_letters WHERE notification_id BETWEEN $1 AND $2 AND state <> 'superseded' LIMIT $3
"""
HOLDING: Final = f"""
SELECT id FROM dead_letters
 WHERE {contains_digits("id", "$1")} OR {contains_digits("notification_id", "$1")} AND state <> 'superseded' LIMIT $2
"""

ALIKE: Final = """
SELECT id, notification_id, state FROM dead_letters WHERE id = ANY($1::uuid[])
 ORDER BY epoch DESC, dead_lettered_at DESC, id
"""
ALIKE_AT_MOST: Final = 100
"""Dead letters that are looked at to see whether they are all of one notification."""

OPEN_BODIES: Final = f"""
SELECT body FROM dead_letters WHERE id = ANY($1::uuid[]) AND state || '' = '{DeadLetterState.OPEN}' AND octet_length(body) <= $2
"""
TOO_LATE: Final = (
    "(d.reason = 'expired' AND d.supersedes IS NULL OR coalesce(n.expires_at <= now(), false))"
)


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """Which dead letters; None or empty matches all."""

    ids: tuple[UUID, ...] = ()
    channel: str | None = None
    reason: Reason | None = None
    fingerprint: str | None = None
    """Or its beginning."""
    since: datetime | None = None
    """Dead-lettered at this time or later."""
    until: datetime | None = None
    """Dead-lettered before."""
    tenant: str | None = None
    test: bool | None = None
    """Tests only, or none of them."""
    category: str | None = None
    user_id: str | None = None
    entity_type: str | None = None
    entity_id: str | None = None
    recipient: str | None = None
    """In full."""
    id_prefix: IdPrefix | None = None
    """Some digits of a dead letter's id or of its notification's, or all of them."""
    states: tuple[DeadLetterState, ...] = ()

    @property
    def selects(self) -> bool:
        """Whether it filters by anything but the state, and whether they are tests."""
        return bool(_conditions(replace(self, test=None), states=False))


@dataclass(frozen=True, slots=True)
class Chosen:
    """A dead letter to be replayed or edited."""

    id: UUID
    size: int
    """Bytes of its body."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Dead letters chosen to be replayed, oldest first, and those left out for a person to decide."""

    dead_letters: tuple[Chosen, ...]
    uncertain: int
    """Perhaps delivered already."""
    too_late: int
    """Would expire again."""


class DeadLetterSearch:
    """Reads dead letters."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def resolve(self, prefix: IdPrefix) -> UUID:
        """A dead letter's id from its beginning, from its notification's id or the beginning of that, or
        from any digits of either in a row. Of the dead letters of one notification it is the only open
        one, or the newest where none is open.

        Raises:
            NotFound: No dead letter has them.
            Refused: Several do.
        """
        async with self._database.connection() as connection:
            found = await _with_digits(connection, prefix)
            alike = await connection.fetch(ALIKE, found) if len(found) > 1 else []
        match _of_one_notification(alike) or found:
            case []:
                raise NotFound(
                    f"there is no dead letter {prefix.text}; `tidings dead list` shows them"
                )
            case [only]:
                return only
            case _:
                named = sorted(f"{row['id']} ({row['state']})" for row in alike)
                raise Refused(ambiguous(prefix, "dead letters", named))

    async def get(self, dead_letter: UUID) -> tuple[StoredDeadLetter, bytes] | None:
        """A dead letter and its body."""
        statement = f"SELECT {DEAD_LETTER}, d.body FROM dead_letters d WHERE d.id = $1"
        async with self._database.connection() as connection:
            row = await connection.fetchrow(statement, dead_letter)
        if row is None:
            return None
        values = dict(row)
        body: bytes = values.pop("body")
        return StoredDeadLetter.of(values), body

    async def open_bodies(self, ids: Sequence[UUID], longest: int) -> Sequence[bytes]:
        """The bodies of those that are open, and no longer than so many bytes."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(OPEN_BODIES, ids, longest)
        return [row["body"] for row in rows]

    async def list(
        self, wanted: DeadLetterFilter, limit: int, after: Position | None = None
    ) -> Sequence[StoredDeadLetter]:
        """The newest that match, newest first, behind a position if one is given."""
        where, values = where_of(wanted)
        if after is not None:
            where += f" AND (d.dead_lettered_at, d.id) < (${len(values) + 1}, ${len(values) + 2})"
            values += after
        statement = f"""
            SELECT {DEAD_LETTER} FROM dead_letters d WHERE {where}
             ORDER BY d.dead_lettered_at DESC, d.id DESC LIMIT ${len(values) + 1}
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(statement, *values, limit)
        return [StoredDeadLetter.of(row) for row in rows]

    async def count(self, wanted: DeadLetterFilter) -> int:
        """How many match."""
        where, values = where_of(wanted)
        async with self._database.connection() as connection:
            found: int = await connection.fetchval(
                f"SELECT count(*) FROM dead_letters d WHERE {where}", *values
            )
        return found

    async def ids(self, wanted: DeadLetterFilter, limit: int | None = None) -> Sequence[UUID]:
        """Those that match, oldest first."""
        where, values = where_of(wanted)
        statement = f"""
            SELECT d.id FROM dead_letters d WHERE {where}
             ORDER BY d.dead_lettered_at, d.id LIMIT ${len(values) + 1}
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(statement, *values, limit)
        return [row["id"] for row in rows]

    async def chosen(self, wanted: DeadLetterFilter, limit: int | None = None) -> Sequence[Chosen]:
        """Those that match with their sizes, oldest first."""
        where, values = where_of(wanted)
        statement = f"""
            SELECT d.id, octet_length(d.body) AS size FROM dead_letters d WHERE {where}
             ORDER BY d.dead_lettered_at, d.id LIMIT ${len(values) + 1}
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(statement, *values, limit)
        return [Chosen(row["id"], row["size"]) for row in rows]

    async def select(self, wanted: DeadLetterFilter, limit: int | None = None) -> Selection:
        """Those to be replayed. Where neither ids nor the reason are asked for, what was perhaps
        delivered and what would expire again is left out and counted."""
        where, values = where_of(wanted)
        uncertain, too_late = skipped(wanted)
        joined = (
            f"dead_letters d LEFT JOIN notifications n ON n.id = d.notification_id WHERE {where}"
        )
        statement = f"""
            SELECT d.id, octet_length(d.body) AS size, {uncertain} AS uncertain, {too_late} AS too_late FROM {joined}
             ORDER BY d.dead_lettered_at, d.id
        """  # once: of each its notification is read, and those lie scattered
        async with self._database.connection() as connection:
            rows = await connection.fetch(statement, *values)
        uncertain_ones = sum(row["uncertain"] for row in rows)
        late_ones = sum(row["too_late"] and not row["uncertain"] for row in rows)
        chosen = (row for row in rows if not (row["uncertain"] or row["too_late"]))
        dead_letters = tuple(Chosen(row["id"], row["size"]) for row in islice(chosen, limit))
        return Selection(dead_letters, uncertain_ones, late_ones)


def skipped(wanted: DeadLetterFilter) -> tuple[str, str]:
    """Conditions of the dead letters that a replay leaves for a person to decide: perhaps delivered, would expire again."""
    return (
        f"(d.reason = 'outcome_unknown' AND NOT {_chosen_by(wanted, Reason.OUTCOME_UNKNOWN)})",
        f"({TOO_LATE} AND NOT {_chosen_by(wanted, Reason.EXPIRED)})",
    )


def _chosen_by(wanted: DeadLetterFilter, reason: Reason) -> str:
    """Whether these dead letters were chosen explicitly: then a person has decided."""
    return "true" if wanted.ids or wanted.reason is reason else "false"


async def _with_digits(connection: Connection, prefix: IdPrefix) -> list[UUID]:
    """Those that begin so, before those with these digits elsewhere."""
    most = ALIKE_AT_MOST + 1
    rows = await connection.fetch(FIND, prefix.lowest, prefix.highest, most)
    if not rows and not prefix.whole:
        rows = await connection.fetch(OF_NOTIFICATION, prefix.lowest, prefix.highest, most)
    if not rows and prefix.findable_within:
        rows = await connection.fetch(HOLDING, prefix.within, most)
    return [row["id"] for row in rows]


def _of_one_notification(alike: Sequence[Record]) -> Sequence[UUID]:
    """Of dead letters, newest first: the one that is meant where all are of one notification."""
    about = {row["notification_id"] for row in alike}
    if len(about) != 1 or None in about or len(alike) > ALIKE_AT_MOST:
        return []
    still_open = [row["id"] for row in alike if row["state"] in OPEN]
    newest: Sequence[UUID] = [alike[0]["id"]]
    return still_open[:1] if len(still_open) == 1 else [] if still_open else newest


def where_of(wanted: DeadLetterFilter, *, after: int = 0) -> tuple[str, list[object]]:
    """Only the given filters: the planner sees plain comparisons and uses the indexes.

    Args:
        after: Parameters that come before those of the filters.
    """
    given = _conditions(wanted)
    conditions = (
        condition.format(f"${place}") for place, (condition, _) in enumerate(given, start=after + 1)
    )
    return " AND ".join(conditions) or "true", [value for _, value in given]


def _conditions(wanted: DeadLetterFilter, *, states: bool = True) -> list[tuple[str, Any]]:
    return [
        (condition, value)
        for condition, value in _filters(wanted, states=states)
        if value or value is False
    ]


def _filters(wanted: DeadLetterFilter, *, states: bool) -> Iterator[tuple[str, Any]]:
    yield "d.id = ANY({}::uuid[])", list(wanted.ids)
    yield "d.channel = {}", wanted.channel
    yield "d.reason = {}", wanted.reason and wanted.reason.value
    whole = len(wanted.fingerprint or "") >= LENGTH
    yield "d.fingerprint = {}" if whole else "d.fingerprint LIKE {} || '%'", wanted.fingerprint
    yield "d.dead_lettered_at >= {}", wanted.since
    yield "d.dead_lettered_at < {}", wanted.until
    of_tenants = wanted.tenant not in {None, DEFAULT_TENANT}  # an index has these
    yield f"d.tenant = {{}} AND d.{OF_TENANTS}" if of_tenants else "d.tenant = {}", wanted.tenant
    yield "d.test = {}", wanted.test
    yield "d.category = {}", wanted.category
    yield "d.user_id = {}", wanted.user_id
    yield "d.entity_type = {}", wanted.entity_type
    yield "d.entity_id = {}", wanted.entity_id
    yield "d.recipient = {}", wanted.recipient
    yield (
        f"({contains_digits('d.notification_id', '{0}')} OR {contains_digits('d.id', '{0}')})",
        wanted.id_prefix and wanted.id_prefix.within,
    )
    if states and len(wanted.states) == 1:
        # An index has those of one state in their order; those with these ids are not looked for among them.
        yield "d.state || '' = {}" if wanted.ids else "d.state = {}", wanted.states[0].value
    elif states:
        yield "d.state = ANY({}::text[])", [state.value for state in wanted.states]
