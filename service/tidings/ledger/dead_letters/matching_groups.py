"""Groups of dead letters that match a filter which no rollup has: counted among the newest, in steps, while there is time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from asyncpg import Record

from tidings.delivery.fingerprint import LENGTH
from tidings.ledger.database import Connection
from tidings.ledger.dead_letters.open_groups import GroupPosition
from tidings.ledger.dead_letters.search import DeadLetterFilter, where_of
from tidings.ledger.dead_letters.trends import Trend, end_of
from tidings.ledger.operators.rollups import PLACE
from tidings.ledger.steps import TimeLimit

LOOKED_AT: Final = 10_000
"""Dead letters that one statement looks at, and those of the same moment as the last of them: of one tenant if it is asked for."""
STEP: Final = f"""
WITH looked AS MATERIALIZED (
    SELECT d.id, d.fingerprint, d.dead_lettered_at AS at, ({{matches}}) AS matches FROM dead_letters d
     WHERE {{among}} ORDER BY d.dead_lettered_at DESC FETCH FIRST $3 ROWS WITH TIES
)
SELECT fingerprint, CASE WHEN at >= $1::timestamptz AND at < $2 THEN {PLACE.format(moment="at", since="$1", width="$4::float8")} END AS place,
       count(*) AS count, min(at) AS first_at, max(at) AS last_at, (array_agg(id ORDER BY at DESC, id DESC))[1] AS newest
  FROM looked WHERE matches GROUP BY 1, 2
 UNION ALL
SELECT NULL, NULL, count(*), min(at), NULL, NULL FROM looked
"""
"""The row without a fingerprint says how many were looked at, and since when."""
OLDER: Final = (
    "SELECT d.id FROM dead_letters d WHERE {among} ORDER BY d.dead_lettered_at DESC LIMIT 1"
)
NEWEST: Final = """
SELECT id AS example, channel, reason, kind, code, message FROM dead_letters WHERE id = ANY($1::uuid[])
"""


@dataclass(slots=True)
class GroupCount:
    """What was counted of a group so far, newest first."""

    fingerprint: str
    example: UUID
    """The newest."""
    last_at: datetime
    first_at: datetime
    arrived: list[int]
    """By bucket of the trend."""
    dead_letters: int = 0

    @property
    def numbers(self) -> Mapping[str, Any]:
        """How many, and when they came."""
        return {
            "fingerprint": self.fingerprint,
            "dead_letters": self.dead_letters,
            "first_at": self.first_at,
            "last_at": self.last_at,
        }

    def add(self, row: Record) -> None:
        """Add what an older step found of it, or another bucket of the same step."""
        self.dead_letters += row["count"]
        self.first_at = min(self.first_at, row["first_at"])
        if row["last_at"] > self.last_at:
            self.last_at, self.example = row["last_at"], row["newest"]
        if row["place"] is not None:
            self.arrived[row["place"]] += row["count"]


async def count_matching(
    connection: Connection, wanted: DeadLetterFilter, period: Trend, limit: TimeLimit
) -> tuple[Sequence[GroupCount], datetime | None]:
    """All groups that have some, the largest first, and since when dead letters were looked at; None: all of them.

    Args:
        connection: To read with.
        wanted: Which dead letters.
        period: Of the trends.
        limit: No further step begins when it is over.
    """
    values = (period.since, end_of(period), LOOKED_AT, period.bucket_seconds)
    groups: dict[str, GroupCount] = {}
    while True:
        statement, filters = step_of(wanted)
        rows = await connection.fetch(statement, *values, *filters)
        (looked,) = (row for row in rows if row["fingerprint"] is None)
        for row in (row for row in rows if row is not looked):
            name = row["fingerprint"]
            empty = GroupCount(
                name, row["newest"], row["last_at"], row["first_at"], list(period.counts)
            )
            groups.setdefault(name, empty).add(row)
        counted = sorted(groups.values(), key=_place)
        if looked["count"] < LOOKED_AT:
            return counted, None
        wanted = replace(wanted, until=looked["first_at"])
        if limit.over:
            return counted, wanted.until if await _any(connection, wanted) else None


async def _any(connection: Connection, wanted: DeadLetterFilter) -> bool:
    """Whether another step would look at any."""
    among, values = where_of(_path(wanted)[0])
    return await connection.fetchval(OLDER.format(among=among), *values) is not None


def step_of(wanted: DeadLetterFilter) -> tuple[str, Sequence[object]]:
    """The statement of a step, and its parameters from $5 on."""
    among, others = _path(wanted)
    path, of_path = where_of(among, after=4)
    matches, of_others = where_of(others, after=4 + len(of_path))
    return STEP.format(among=path, matches=matches), (*of_path, *of_others)


async def newest_of(connection: Connection, groups: Sequence[GroupCount]) -> dict[UUID, Record]:
    """The newest dead letters of groups, by id: what a group is about."""
    rows = await connection.fetch(NEWEST, [group.example for group in groups])
    return {row["example"]: row for row in rows}


def behind(groups: Sequence[GroupCount], after: GroupPosition | None) -> Sequence[GroupCount]:
    """Those behind a place in the list."""
    if after is None:
        return groups
    place = (-after.dead_letters, after.fingerprint)
    return [group for group in groups if _place(group) > place]


def _place(group: GroupCount) -> tuple[int, str]:
    return -group.dead_letters, group.fingerprint


def _path(wanted: DeadLetterFilter) -> tuple[DeadLetterFilter, DeadLetterFilter]:
    """The part of a filter that an index leads to, newest first, and the rest, by which what is found is sorted out.

    The tenant is always of the first part: since when dead letters were looked at tells a tenant nothing of the others'.
    """
    one_state = ("states",) if len(wanted.states) == 1 else ()
    paths: tuple[tuple[tuple[str, ...], object], ...] = (
        (("ids",), wanted.ids),
        (("recipient",), wanted.recipient),
        (("user_id",), wanted.user_id),
        (("entity_type", "entity_id"), wanted.entity_type and wanted.entity_id),
        (("fingerprint",), len(wanted.fingerprint or "") >= LENGTH),
        (("test",), wanted.test),
        (one_state, one_state),
    )
    taken = next((names for names, given in paths if given), ())
    names, nothing = ("since", "until", "tenant", *taken), DeadLetterFilter()
    among: dict[str, Any] = {name: getattr(wanted, name) for name in names}
    others: dict[str, Any] = {name: getattr(nothing, name) for name in names}
    return replace(nothing, **among), replace(wanted, **others)
