"""Adds notifications to the outbox in the caller's own transaction, with the library that the caller has open."""

import json
from collections.abc import Iterator, Mapping, Sequence
from inspect import iscoroutinefunction
from typing import Any, Final

from tidings_events.notifications import Notification
from tidings_events.outbox.table import DEFAULT_SCHEMA, table_in
from tidings_events.routing import own_headers

MOST_ROWS: Final = 1_000
"""Notifications that one statement inserts."""
MOST_BYTES: Final = 32 * 1024 * 1024
"""Bytes of notifications that one statement inserts, unless one alone is larger."""

_INSERT: Final = """\
INSERT INTO {table} (body, headers)
SELECT CAST(body AS json), CAST(CAST({headers} AS text) AS jsonb)
FROM unnest(CAST({bodies} AS text[])) WITH ORDINALITY AS added (body, place)
ORDER BY place
ON CONFLICT DO NOTHING"""


async def add(
    connection: Any,
    *notifications: Notification,
    headers: Mapping[str, str] | None = None,
    traceparent: str | None = None,
    schema: str = DEFAULT_SCHEMA,
) -> int:
    """Add notifications in the transaction that is open on `connection`; they are published once it commits.

    Returns how many are new: a notification whose id is in the outbox already is left as it is.

    Args:
        connection: Of asyncpg, psycopg (AsyncConnection, AsyncCursor) or SQLAlchemy (AsyncConnection,
            AsyncSession).
        notifications: In the order in which they are to be published.
        headers: AMQP headers of your own, for all of them.
        traceparent: W3C Trace Context: links the deliveries to your trace.
        schema: Where the table is.

    Raises:
        TypeError: It is no such connection.
        ValueError: A header is one of Tidings' own.
        InvalidNotification: A notification is too large.
    """
    library = _library_of(connection)
    if library != "asyncpg" and not iscoroutinefunction(getattr(connection, "execute", None)):
        raise _unknown(connection)
    own = _as_text(headers, traceparent)
    added = 0
    for bodies in _parts(notifications):
        match library:
            case "asyncpg":
                status = await connection.execute(_statement(schema, "$1", "$2"), bodies, own)
                added += int(status.rpartition(" ")[2])
            case "sqlalchemy":
                result = await connection.execute(*_for_sqlalchemy(schema, bodies, own))
                added += result.rowcount
            case _:
                cursor = await connection.execute(*_for_psycopg(schema, bodies, own))
                added += cursor.rowcount
    return added


def add_sync(
    connection: Any,
    *notifications: Notification,
    headers: Mapping[str, str] | None = None,
    traceparent: str | None = None,
    schema: str = DEFAULT_SCHEMA,
) -> int:
    """`add` for code that is not asynchronous. Raises like `add`.

    Args:
        connection: Of psycopg, psycopg2, Django (`django.db.connection`) or SQLAlchemy (Connection, Session); or a
            cursor.
        notifications: In the order in which they are to be published.
        headers: AMQP headers of your own, for all of them.
        traceparent: W3C Trace Context: links the deliveries to your trace.
        schema: Where the table is.
    """
    library = _library_of(connection)
    execute = getattr(connection, "execute", None)
    if library == "asyncpg" or iscoroutinefunction(execute):
        raise _unknown(connection)
    own = _as_text(headers, traceparent)
    added = 0
    for bodies in _parts(notifications):
        if library == "sqlalchemy":
            added += connection.execute(*_for_sqlalchemy(schema, bodies, own)).rowcount
        elif hasattr(connection, "cursor"):
            with connection.cursor() as cursor:
                cursor.execute(*_for_psycopg(schema, bodies, own))
                added += cursor.rowcount
        elif execute is not None:
            execute(*_for_psycopg(schema, bodies, own))
            added += connection.rowcount
        else:
            raise _unknown(connection)
    return added


def _statement(schema: str, bodies: str, headers: str) -> str:
    return _INSERT.format(table=table_in(schema), bodies=bodies, headers=headers)


def _for_psycopg(schema: str, bodies: Sequence[str], headers: str) -> tuple[str, dict[str, Any]]:
    statement = _statement(schema, "%(bodies)s", "%(headers)s")
    return statement, {"bodies": list(bodies), "headers": headers}


def _for_sqlalchemy(schema: str, bodies: Sequence[str], headers: str) -> tuple[Any, dict[str, Any]]:
    from sqlalchemy import text  # the caller's own

    statement = text(_statement(schema, ":bodies", ":headers"))
    return statement, {"bodies": list(bodies), "headers": headers}


def _library_of(connection: object) -> str:
    """The package that a connection's class comes from, or the class that it is made of."""
    packages = [each.__module__.partition(".")[0] for each in type(connection).__mro__]
    return next((each for each in packages if each in {"asyncpg", "sqlalchemy"}), packages[0])


def _unknown(connection: object) -> TypeError:
    kind = type(connection)
    return TypeError(
        f"{kind.__module__}.{kind.__qualname__} is not a connection that the outbox knows: pass one of asyncpg, "
        "psycopg or SQLAlchemy, to `add` an asynchronous one and to `add_sync` any other"
    )


def _parts(notifications: Sequence[Notification]) -> Iterator[list[str]]:
    """The notifications as JSON, in parts that a statement takes."""
    part: list[str] = []
    size = 0
    for body in (notification.to_json() for notification in notifications):
        if part and (len(part) == MOST_ROWS or size + len(body) > MOST_BYTES):
            yield part
            part, size = [], 0
        part.append(body.decode())
        size += len(body)
    if part:
        yield part


def _as_text(headers: Mapping[str, str] | None, traceparent: str | None) -> str:
    return json.dumps(own_headers(headers, traceparent))
