"""Each library adds in its own open transaction: what is rolled back was never added."""

import json
import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import psycopg
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from tests.support.outbox_rig import OutboxRig, email

from tidings_events import MAX_BODY_BYTES, EmailNotification, InvalidNotification
from tidings_events.outbox import add, add_sync, install_sql

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Undo(Exception):
    """Rolls a transaction back."""


def engine_url(dsn: str, driver: str) -> str:
    return urlsplit(dsn)._replace(scheme=f"postgresql+{driver}").geturl()


async def with_asyncpg(dsn: str, work: Callable[[Any], Any]) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await work(connection)
    finally:
        await connection.close()


async def with_a_pool_of_asyncpg(dsn: str, work: Callable[[Any], Any]) -> None:
    async with (
        asyncpg.create_pool(dsn, min_size=0) as pool,
        pool.acquire() as connection,
        connection.transaction(),
    ):
        await connection.set_type_codec(
            "jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog"
        )
        await work(connection)


async def with_psycopg(dsn: str, work: Callable[[Any], Any]) -> None:
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        await work(connection)


async def with_a_cursor_of_psycopg(dsn: str, work: Callable[[Any], Any]) -> None:
    async with (
        await psycopg.AsyncConnection.connect(dsn) as connection,
        connection.cursor() as cursor,
    ):
        await work(cursor)


async def with_sqlalchemy_on_asyncpg(dsn: str, work: Callable[[Any], Any]) -> None:
    engine = create_async_engine(engine_url(dsn, "asyncpg"))
    try:
        async with engine.begin() as connection:
            await work(connection)
    finally:
        await engine.dispose()


async def with_a_session_on_psycopg(dsn: str, work: Callable[[Any], Any]) -> None:
    engine = create_async_engine(engine_url(dsn, "psycopg"))
    try:
        async with AsyncSession(engine) as session, session.begin():
            await work(session)
    finally:
        await engine.dispose()


ASYNCHRONOUS = [
    with_asyncpg,
    with_a_pool_of_asyncpg,
    with_psycopg,
    with_a_cursor_of_psycopg,
    with_sqlalchemy_on_asyncpg,
    with_a_session_on_psycopg,
]


def sync_psycopg(dsn: str, work: Callable[[Any], None]) -> None:
    with psycopg.connect(dsn) as connection:
        work(connection)


def sync_cursor(dsn: str, work: Callable[[Any], None]) -> None:
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        work(cursor)


def sync_sqlalchemy(dsn: str, work: Callable[[Any], None]) -> None:
    engine = sqlalchemy.create_engine(engine_url(dsn, "psycopg"))
    try:
        with engine.begin() as connection:
            work(connection)
    finally:
        engine.dispose()


def sync_session(dsn: str, work: Callable[[Any], None]) -> None:
    engine = sqlalchemy.create_engine(engine_url(dsn, "psycopg"))
    try:
        with Session(engine) as session, session.begin():
            work(session)
    finally:
        engine.dispose()


SYNCHRONOUS = [sync_psycopg, sync_cursor, sync_sqlalchemy, sync_session]

HEADERS: dict[str, Any] = {"headers": {"x-team": "shop"}, "traceparent": TRACE}
BATCH = [email("one"), email("two % :three $1"), email("vier äöü")]


async def stored(rig: OutboxRig) -> list[tuple[str, str, str]]:
    rows = await rig.database.fetch(
        "SELECT body::text, headers::text, routing_key FROM tidings_outbox ORDER BY position"
    )
    return [tuple(row) for row in rows]


EXPECTED = [
    (
        notification.to_json().decode(),
        f'{{"x-team": "shop", "traceparent": "{TRACE}"}}',
        "email.normal",
    )
    for notification in BATCH
]


@pytest.mark.parametrize("library", ASYNCHRONOUS)
async def test_an_asynchronous_library_adds_in_its_own_transaction(
    rig: OutboxRig, library: Callable[..., Any]
) -> None:
    async def rolled_back(connection: Any) -> None:
        assert await add(connection, email("never"), schema=rig.schema) == 1
        raise Undo

    async def committed(connection: Any) -> None:
        added = await add(connection, *BATCH, schema=rig.schema, **HEADERS)
        assert added == len(BATCH)
        assert await add(connection, BATCH[0], schema=rig.schema) == 0

    with pytest.raises(Undo):
        await library(rig.dsn, rolled_back)
    assert await stored(rig) == []
    await library(rig.dsn, committed)
    assert sorted(await stored(rig)) == sorted(EXPECTED)
    assert [body for body, *_ in await stored(rig)] == [body for body, *_ in EXPECTED]


@pytest.mark.parametrize("library", SYNCHRONOUS)
async def test_a_synchronous_library_adds_in_its_own_transaction(
    rig: OutboxRig, library: Callable[..., None]
) -> None:
    def rolled_back(connection: Any) -> None:
        assert add_sync(connection, email("never"), schema=rig.schema) == 1
        raise Undo

    def committed(connection: Any) -> None:
        added = add_sync(connection, *BATCH, schema=rig.schema, **HEADERS)
        assert added == len(BATCH)
        assert add_sync(connection, BATCH[0], schema=rig.schema) == 0

    with pytest.raises(Undo):
        library(rig.dsn, rolled_back)
    assert await stored(rig) == []
    library(rig.dsn, committed)
    assert [body for body, *_ in await stored(rig)] == [body for body, *_ in EXPECTED]


async def test_thousands_are_added_in_their_order(rig: OutboxRig) -> None:
    many = [email(str(number)) for number in range(2_500)]
    assert await add(rig.database, *many, schema=rig.schema) == len(many)
    rows = await rig.database.fetch("SELECT body FROM tidings_outbox ORDER BY position")
    assert [json.loads(row["body"])["subject"] for row in rows] == [
        notification.subject for notification in many
    ]


async def test_a_connection_of_the_wrong_kind_is_refused_before_anything_is_written(
    rig: OutboxRig,
) -> None:
    with (
        psycopg.connect(rig.dsn) as connection,
        pytest.raises(TypeError, match=r"psycopg\.Connection is not a connection"),
    ):
        await add(connection, email())
    with pytest.raises(TypeError, match=r"Connection is not a connection"):
        add_sync(rig.database, email())
    with pytest.raises(TypeError, match="pass one of asyncpg"):
        add_sync(object(), email())
    assert await stored(rig) == []


async def test_headers_of_tidings_and_notifications_that_are_too_large_are_refused(
    rig: OutboxRig,
) -> None:
    with pytest.raises(ValueError, match="x-tidings-attempt is Tidings' own"):
        await add(rig.database, email(), headers={"x-tidings-attempt": "2"})
    attachment = {"filename": "a", "content": "A" * (MAX_BODY_BYTES * 9 // 10)}
    large = EmailNotification.model_construct(
        **{**dict(email()), "html": "x" * MAX_BODY_BYTES, "attachments": [attachment]}
    )
    with pytest.raises(InvalidNotification, match="at most 10,485,760"):
        await add(rig.database, large)


async def test_a_schema_may_have_a_name_that_needs_quotes_and_no_other(rig: OutboxRig) -> None:
    schema = f"{rig.schema}-EU"
    await rig.database.execute(f'CREATE SCHEMA "{schema}"')
    await rig.database.execute(install_sql(schema))
    await add(rig.database, email(), schema=schema)
    assert await stored(rig) == []
    await rig.database.execute(f'SET search_path = "{schema}"')
    assert len(await stored(rig)) == 1
    for name in ("", 'a"b', "a b", "a%s", "1a", "a" * 64):
        with pytest.raises(ValueError, match="a schema's name begins with"):
            install_sql(name)


async def test_a_producer_needs_no_more_than_to_insert(rig: OutboxRig) -> None:
    role = f"producer_{secrets.token_hex(6)}"  # roles are the server's, not the database's
    await rig.database.execute(
        f"""
        CREATE ROLE {role};
        GRANT USAGE ON SCHEMA {rig.schema} TO {role};
        GRANT INSERT (body, headers) ON tidings_outbox TO {role};
        """
    )
    try:
        await rig.database.execute(f"SET ROLE {role}")
        assert await add(rig.database, email(), email(), schema=rig.schema) == 2
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await rig.database.fetch("SELECT * FROM tidings_outbox")
    finally:
        await rig.database.execute(f"RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}")


@pytest.mark.parametrize(
    "body",
    ["not json", "[1]", "{}", '{"id": "7"}', '{"id": "0193a5c4-2c00-7000-8000-000000000101"'],
)
async def test_what_is_no_json_or_has_no_id_is_refused_when_it_is_inserted(
    rig: OutboxRig, body: str
) -> None:
    with pytest.raises(asyncpg.PostgresError):
        await rig.database.execute("INSERT INTO tidings_outbox (body) VALUES ($1)", body)
