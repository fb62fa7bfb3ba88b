"""The work for those that run in threads or child processes: each with connections of its own."""

import smtplib
import threading
import time
from datetime import UTC, datetime

import psycopg

from benchmarks.peers.work import RECORD, SETTINGS, Mails, TemporaryFailure, columns, fails, read

STATEMENT = RECORD.format(
    "%(a)s", "%(b)s", "%(c)s", "%(d)s", "%(e)s", "%(f)s", "%(g)s", "%(h)s", "%(i)s", "%(j)s"
)


class _Mine(threading.local):
    """Connections of one thread, opened when first needed: after a fork, never before."""

    database = None
    relay = None
    mails = None


_mine = _Mine()


def do(text: str, attempt: int = 1) -> None:
    """One message; raises TemporaryFailure where it should be tried again."""
    notification = read(text)
    started_at, clock = datetime.now(UTC), time.perf_counter()
    failed = fails(notification, attempt)
    if not failed:
        _send(notification)
    state = "retrying" if failed else "sent"
    values = columns(notification, text, state, attempt, started_at, time.perf_counter() - clock)
    if _mine.database is None:
        _mine.database = psycopg.connect(SETTINGS.database_url, autocommit=True)
    _mine.database.execute(STATEMENT, dict(zip("abcdefghij", values, strict=True)))
    if failed:
        raise TemporaryFailure


def _send(notification) -> None:
    if SETTINGS.slowness:
        time.sleep(SETTINGS.slowness)
    if SETTINGS.smtp_port:
        if _mine.relay is None:
            _mine.mails = Mails()
            _mine.relay = smtplib.SMTP("127.0.0.1", SETTINGS.smtp_port)
        _mine.relay.send_message(_mine.mails.mail(notification))
