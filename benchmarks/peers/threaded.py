"""The work for those that run in threads or child processes: each with connections of its own."""

import queue
import smtplib
import threading
import time
from datetime import UTC, datetime

import psycopg

from benchmarks.peers.work import RECORD, SETTINGS, Mails, TemporaryFailure, columns, fails, read

MOST_CONNECTIONS = 40
STATEMENT = RECORD.format(
    "%(a)s", "%(b)s", "%(c)s", "%(d)s", "%(e)s", "%(f)s", "%(g)s", "%(h)s", "%(i)s", "%(j)s"
)


class _Mine(threading.local):
    """What one thread has of its own, opened when first needed: after a fork, never before."""

    relay = None
    mails = None


_mine = _Mine()
_connections: queue.LifoQueue = queue.LifoQueue()
for _ in range(min(SETTINGS.at_once, MOST_CONNECTIONS)):
    _connections.put(None)


def do(text: str, attempt: int = 1) -> None:
    """One message; raises TemporaryFailure where it should be tried again."""
    notification = read(text)
    started_at, clock = datetime.now(UTC), time.perf_counter()
    failed = fails(notification, attempt)
    if not failed:
        _send(notification)
    state = "retrying" if failed else "sent"
    values = columns(notification, text, state, attempt, started_at, time.perf_counter() - clock)
    _record(dict(zip("abcdefghij", values, strict=True)))
    if failed:
        raise TemporaryFailure


def _record(values: dict) -> None:
    """A connection for each thread, up to a number that PostgreSQL can bear."""
    connection = _connections.get()
    try:
        if connection is None:
            connection = psycopg.connect(SETTINGS.database_url, autocommit=True)
        connection.execute(STATEMENT, values)
    finally:
        _connections.put(connection)


def _send(notification) -> None:
    if SETTINGS.slowness:
        time.sleep(SETTINGS.slowness)
    if SETTINGS.smtp_port:
        if _mine.relay is None:
            _mine.mails = Mails()
            _mine.relay = smtplib.SMTP("127.0.0.1", SETTINGS.smtp_port)
        _mine.relay.send_message(_mine.mails.mail(notification))
