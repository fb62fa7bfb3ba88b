"""What tests tell asyncpg of array types is what PostgreSQL would."""

import asyncpg
from tests.support.array_types import ELEMENTS


async def test_the_server_has_the_same(postgresql_url: str) -> None:
    connection = await asyncpg.connect(postgresql_url)
    try:
        rows = await connection.fetch(
            "SELECT typarray::int AS oid, pg_type.oid::int AS element, typname FROM pg_type "
            "WHERE typnamespace = 'pg_catalog'::regnamespace AND typdelim = ',' AND typarray > 0"
        )
    finally:
        await connection.close()
    there = {row["oid"]: (row["element"], row["typname"]) for row in rows}
    assert {oid: there.get(oid) for oid in ELEMENTS} == ELEMENTS
