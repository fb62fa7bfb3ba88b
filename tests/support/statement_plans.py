"""The statements that this process sends to PostgreSQL, and how it would run each."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import asyncpg
import pytest

from tidings.ledger.connecting import Session
from tidings.ledger.database import PostgresDatabase

TIMES: Final = 100
EXPLAINED: Final = re.compile(r"\s*(SELECT|WITH|INSERT|UPDATE|DELETE)\b", re.IGNORECASE)


Found = Mapping[tuple[str, tuple[bool, ...]], tuple[object, ...]]
"""Statements, each with which of its values are not given, and its values."""


class SentStatements:
    """Each statement once for each kind of values: what is not given changes a plan, and what is given hardly."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, tuple[bool, ...]], tuple[object, ...]] = {}

    def record(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Listen to every session that is opened from now on."""
        connect = PostgresDatabase._connect

        async def connected(database: PostgresDatabase, *given: Any, **options: Any) -> Session:
            session = await connect(database, *given, **options)
            session.add_query_logger(self._sent)
            return session

        monkeypatch.setattr(PostgresDatabase, "_connect", connected)

    async def _sent(self, query: "asyncpg.connection.LoggedQuery") -> None:
        if query.exception is None and EXPLAINED.match(query.query):
            empty = tuple(value is None or value == [] for value in query.args)
            self.found.setdefault((query.query, empty), tuple(query.args))


async def read_whole(
    connection: "asyncpg.Connection[asyncpg.Record]", statement: str, values: tuple[object, ...]
) -> set[tuple[str, str]]:
    """The tables that a statement would read from end to end if they were a hundred times as large, each with its index or how."""
    await connection.execute(f"SET seq_page_cost = {TIMES}")
    [explained] = await connection.fetchrow(f"EXPLAIN (FORMAT JSON) {statement}", *values)
    [plan] = json.loads(explained)
    return set(_read_whole(plan["Plan"], limit=0))


def _read_whole(plan: Mapping[str, Any], *, limit: int) -> Iterator[tuple[str, str]]:
    """A sequential scan, or one of a whole index: without a condition, unless more rows match than are wanted."""
    kind = plan["Node Type"]
    if kind == "Limit":
        limit = plan["Plan Rows"]
    elif kind in {"Aggregate", "Hash", "Sort"}:
        limit = 0
    if kind == "Seq Scan":
        yield plan["Relation Name"], kind
    enough = 0 < limit <= plan["Plan Rows"]
    if "Index Name" in plan and "Index Cond" not in plan and not enough:
        yield plan.get("Relation Name", kind), plan["Index Name"]
    for part in plan.get("Plans", ()):
        yield from _read_whole(part, limit=limit)
