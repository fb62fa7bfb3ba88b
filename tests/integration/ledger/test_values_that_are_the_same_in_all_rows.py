"""A batch's columns reach PostgreSQL once where all rows have the same value, and are whole there."""

import random
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import pytest
from tests.support.ledger_rig import LedgerRig

from tidings.ledger.packing import packed, parameters

CHOICES: Final[dict[str, tuple[Any, ...]]] = {
    "text": (None, "", "anna@example.org", "{a,b}", "NULL"),
    "int": (None, 0, -1, 7),
    "float8": (None, 0.0, 1.5),
    "boolean": (None, True, False),
    "bytea": (None, b"", b"\x00{}"),
    "timestamptz": (None, datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
    "uuid": (None, uuid4(), uuid4()),
}


@pytest.mark.parametrize("rows", [0, 1, 2, 5])
@pytest.mark.parametrize("after", [0, 2])
async def test_rows_arrive_as_they_were(ledger: LedgerRig, rows: int, after: int) -> None:
    dice = random.Random(rows * 10 + after)  # a test's
    types = ("uuid", *CHOICES)
    before = [f"{place}" for place in range(after)]
    used = "".join(f" AND ${place + 1}::text IS NOT NULL" for place in range(after))
    query = f"SELECT * FROM unnest({parameters(*types, after=after)}) WHERE true{used}"  # noqa: S608  # ours

    async with ledger.database.connection() as connection:
        for _ in range(60):
            same = [dice.random() < 0.5 for _ in CHOICES]
            once = [dice.choice(values) for values in CHOICES.values()]
            expected = [
                (
                    uuid4(),
                    *(
                        attempt if kept else dice.choice(values)
                        for attempt, kept, values in zip(once, same, CHOICES.values(), strict=True)
                    ),
                )
                for _ in range(rows)
            ]
            columns = [list(column) for column in zip(*expected, strict=True)] or [
                [] for _ in types
            ]
            found = await connection.fetch(query, *before, *packed(columns))
            assert [tuple(row) for row in found] == expected


def test_what_is_the_same_is_sent_once_and_the_first_column_always_whole() -> None:
    first = [1, 1, 1]
    assert packed([first, ["a", "a", "a"], [None, None, None], ["a", None, "a"], []]) == [
        first,
        ["a"],
        [None],
        ["a", None, "a"],
        [],
    ]
