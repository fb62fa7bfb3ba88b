"""The audit trail: what operators and API keys did that no notification's history has, newest first."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias

from tidings.ledger.database import Database

TrailPlace: TypeAlias = tuple[datetime, int, int]
"""Time, source and id of an entry, by which the trail is ordered."""
LOOKED_AT: Final = 5_000
"""Entries of a page at most, of which those by an actor are sought: no index has parts of names."""
ORDER: Final = "ORDER BY at DESC, source DESC, id DESC"
LOOK: Final = f"""
SELECT at, source, id, actor, action, note, details FROM (
    (SELECT at, 1 AS source, id, actor, action, note, details FROM operator_actions WHERE {{of_actions}} ORDER BY at DESC, id DESC LIMIT {{most}})
     UNION ALL
    (SELECT at, 2, id, actor, 'channel ' || verb, note, jsonb_build_object('channel', channel, 'provider', nullif(provider, '*'))
       FROM channel_orders WHERE {{of_orders}} ORDER BY at DESC, id DESC LIMIT {{most}})
) AS trail {ORDER} LIMIT {{most}}
"""
"""The newest entries of a time and action, behind a place, from the end of an index."""
OF_ACTOR: Final = (
    f"SELECT * FROM ({{look}}) AS looked WHERE strpos(actor, {{actor}}) > 0 {ORDER} LIMIT {{limit}}"
)
LAST: Final = f"SELECT at, source, id FROM ({{look}}) AS looked {ORDER} OFFSET {{before}} LIMIT 1"


@dataclass(frozen=True, slots=True)
class TrailFilters:
    """Which entries; what is None says nothing."""

    actor: str | None = None
    """A part of it: a name, a key's prefix, a request's id."""
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class TrailEntry:
    """One action."""

    at: datetime
    source: int
    """1: a recorded action; 2: an order about a channel."""
    id: int
    actor: str
    action: str
    note: str
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TrailPage:
    """Some of the entries that match, newest first."""

    entries: Sequence[TrailEntry]
    searched_until: TrailPlace | None = None
    """The last that was looked at, if others may match behind it and too few were found; None: all were looked at, or enough found."""


class Trail:
    """Reads the audit trail."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, filters: TrailFilters, limit: int, after: TrailPlace | None = None
    ) -> TrailPage:
        """The newest entries that match, behind a place if one is given; of an actor, among so many as `LOOKED_AT` says."""
        values: list[object] = []

        def given(value: object) -> str:
            values.append(value)
            return f"${len(values)}"

        most = given(limit if filters.actor is None else LOOKED_AT)
        look = LOOK.format(
            of_actions=_where(filters, after, 1, "action", given),
            of_orders=_where(filters, after, 2, "'channel ' || verb", given),
            most=most,
        )
        async with self._database.connection() as connection:
            if filters.actor is None:
                return TrailPage(
                    [_entry(dict(row)) for row in await connection.fetch(look, *values)]
                )
            of_actor = OF_ACTOR.format(
                look=look, actor=f"${len(values) + 1}", limit=f"${len(values) + 2}"
            )
            rows = await connection.fetch(of_actor, *values, filters.actor, limit)
            last = None
            if len(rows) < limit:
                last = await connection.fetchrow(
                    LAST.format(look=look, before=LOOKED_AT - 1), *values
                )
        place = None if last is None else (last["at"], last["source"], last["id"])
        return TrailPage([_entry(dict(row)) for row in rows], place)


def _where(
    filters: TrailFilters,
    after: TrailPlace | None,
    source: int,
    action: str,
    given: Callable[[object], str],
) -> str:
    """The condition of one source's entries: only what is asked for, so that an index can have it."""
    wanted = ["true"]
    if filters.action is not None:
        wanted.append(f"{action} = {given(filters.action)}")
    if filters.since is not None:
        wanted.append(f"at >= {given(filters.since)}")
    if filters.until is not None:
        wanted.append(f"at < {given(filters.until)}")
    if after is not None:
        at, after_source, id_ = after
        before = given(at)
        if source == after_source:
            wanted.append(f"(at, id) < ({before}, {given(id_)})")
        else:
            wanted.append(f"at {'<=' if source < after_source else '<'} {before}")
    return " AND ".join(wanted)


def _entry(row: Mapping[str, Any]) -> TrailEntry:
    return TrailEntry(**{**row, "details": json.loads(row["details"])})
