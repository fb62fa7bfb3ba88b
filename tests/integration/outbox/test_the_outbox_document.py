"""docs/outbox.md as it is typed: its SQL runs, its Python publishes, and the other languages insert the same."""

import json
import os
import re
import secrets
import sys
from asyncio.subprocess import PIPE, STDOUT, create_subprocess_exec
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from tidings_events import parse
from tidings_events.outbox import install_sql

TEXT = (Path(__file__).parents[3] / "docs" / "outbox.md").read_text("utf-8")
INSERTS = r"INSERT INTO tidings_outbox \(body\) VALUES \((?:\$1|\?::json)\)"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture
async def shop(empty_database_url: str) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    """A shop's database with an outbox in `public`, as in the document."""
    connection = await asyncpg.connect(empty_database_url)
    await connection.execute(install_sql())
    await connection.execute("CREATE TABLE orders (id bigint PRIMARY KEY)")
    yield connection
    await connection.close()


async def test_its_sql_grants_inserts_and_corrects(
    shop: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    grants, insert, correct = blocks("sql")
    roles = {name: f"{name}_{secrets.token_hex(6)}" for name in ("shop", "relay")}
    for name, role in roles.items():
        await shop.execute(f"CREATE ROLE {role}")
        grants = grants.replace(f"TO {name};", f"TO {role};")
    try:
        await shop.execute(grants)
        await shop.execute(f"SET ROLE {roles['shop']}")
        await shop.execute(insert)
        await shop.execute(f"RESET ROLE; SET ROLE {roles['relay']}")
        assert await shop.execute(correct) == "UPDATE 1"
        [row] = await shop.fetch("SELECT body, routing_key FROM tidings_outbox")
    finally:
        await shop.execute("RESET ROLE")
        for role in roles.values():
            await shop.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
    assert parse(row["body"].encode()).recipient == "anna@example.org"
    assert row["routing_key"] == "email.high"


async def test_its_python_adds_a_notification_with_the_order(
    shop: "asyncpg.Connection[asyncpg.Record]", empty_database_url: str
) -> None:
    program, _ = blocks("python")
    process = await create_subprocess_exec(
        sys.executable, "-W", "error", "-c", program,
        env={**os.environ, "TIDINGS_OUTBOX_DSN": empty_database_url}, stdout=PIPE, stderr=STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    assert await shop.fetchval("SELECT count(*) FROM orders") == 1
    body = await shop.fetchval("SELECT body FROM tidings_outbox WHERE state = 'pending'")
    assert json.loads(body)["subject"] == "Your order 10042"


@pytest.mark.parametrize("language", ["javascript", "go", "java"])
def test_other_languages_insert_a_body_alone(language: str) -> None:
    [block] = blocks(language)
    assert re.search(INSERTS, block)


async def test_every_column_is_described(shop: "asyncpg.Connection[asyncpg.Record]") -> None:
    columns = await shop.fetch(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'tidings_outbox'"
    )
    assert [name for (name,) in columns if f"| `{name}` |" not in TEXT] == []
