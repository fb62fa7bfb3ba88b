"""Opens a connection to PostgreSQL: to a host that takes writes, and past no pooler that mixes sessions."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qs, urlsplit, urlunsplit

import asyncpg

from tidings.delivery.errors import ConfigurationError
from tidings.ledger.encryption import Address, address_of

Session: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Opening: TypeAlias = Callable[[], Coroutine[Any, Any, Session]]

HEAD_START: Final = 0.5
"""Seconds of silence before the next host is tried as well."""
_ROUNDS: Final = 3
"""How often two sessions are compared: a pooler assigns them by rules of its own."""
_BACKEND: Final = "SELECT pg_backend_pid()"


class MixedSessions(ConfigurationError):
    """A pooler gives each transaction another session: prepared statements and LISTEN go astray."""

    what = "a connection pooler in transaction mode is between Tidings and PostgreSQL and shares one session between clients"
    remedy = (
        "set pool_mode=session for this database in the pooler, or point TIDINGS_DATABASE_URL at "
        "PostgreSQL itself"
    )

    def __init__(self) -> None:
        super().__init__(f"PostgreSQL: {self.what}; {self.remedy}")


async def connect(url: str, *, timeout: float, known: bool = False, **options: Any) -> Session:
    """A session of our own, on a server that takes writes if the URL names several.

    Args:
        url: As in `TIDINGS_DATABASE_URL`; may name a primary and its standbys, in any order.
        timeout: Seconds for all of it.
        known: No pooler that mixes sessions is in between: not looked at again.
        options: Passed on to asyncpg.

    Raises:
        MixedSessions: A pooler in transaction mode is in between.
        ConfigurationError: A file that the URL names can't be read.
        OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError: As asyncpg raises them.
    """
    address = address_of(url)
    async with asyncio.timeout(timeout):
        session = await _open(address, **options)
        try:
            if not known and await _is_pooled(session):
                await _refuse_mixed_sessions(partial(_open, address, statement_cache_size=0))
        except BaseException:
            session.terminate()
            raise
    return session


async def _open(address: Address, **options: Any) -> Session:
    return await first_to_answer(
        [
            partial(asyncpg.connect, host_url, ssl=address.tls, **options)
            for host_url in each_host(address.url)
        ]
    )


def each_host(url: str) -> list[str]:
    """A URL for each host that it names; of several only one that takes writes will do.

    asyncpg would ask them in turn under one time limit, which a host that is switched off uses up alone.
    """
    parts = urlsplit(url)
    userinfo, at, hosts = parts.netloc.rpartition("@")
    if "," not in hosts:
        return [url]
    query = parts.query
    if "target_session_attrs" not in parse_qs(query):
        query = f"{query}&target_session_attrs=read-write".lstrip("&")
    return [
        urlunsplit(parts._replace(netloc=f"{userinfo}{at}{host}", query=query))
        for host in hosts.split(",")
    ]


async def first_to_answer(openings: Sequence[Opening]) -> Session:
    """Connect to one after the other, the next if one fails or is silent, and keep the first that answers.

    Raises:
        Exception: What the last of them raised; if one answers and takes no writes, that.
    """
    left, tasks = deque(openings), set[asyncio.Task[Session]]()
    failures: list[BaseException] = []
    try:
        while left or not all(task.done() for task in tasks):
            if left:
                tasks.add(asyncio.create_task(left.popleft()()))
            pending = [task for task in tasks if not task.done()]
            limit = HEAD_START if left else None
            done, _ = await asyncio.wait(
                pending, timeout=limit, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                if (failure := task.exception()) is None:
                    tasks.discard(task)
                    return task.result()
                failures.append(failure)
        raise _most_telling(failures)
    finally:
        failures.clear()  # or they and this frame would hold each other
        failure = None
        for task in tasks:
            task.cancel()
            task.add_done_callback(_let_go)


def _most_telling(failures: Sequence[BaseException]) -> BaseException:
    unfit = (it for it in failures if isinstance(it, asyncpg.TargetServerAttributeNotMatched))
    return next(unfit, failures[-1])


def _let_go(task: asyncio.Task[Session]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().terminate()


async def _is_pooled(session: Session) -> bool:
    """Whether a pooler answers in PostgreSQL's place: the process it announced is not the one that works.

    The question leaves no prepared statement behind in a session that may serve another client next.
    """
    status = await session.execute(f"SELECT WHERE pg_backend_pid() = {session.get_server_pid()}")
    return status != "SELECT 1"


async def _refuse_mixed_sessions(opening: Opening) -> None:
    """Raises `MixedSessions` if two clients meet in one session, or one client is moved between two."""
    async with AsyncExitStack() as stack:
        first, second = [stack.enter_context(_ended(await opening())) for _ in range(2)]
        for _ in range(_ROUNDS):
            once, again = await _backend(first), await _backend(first)
            async with second.transaction():
                others = await second.fetchval(_BACKEND)
            if once != again or others == again:
                raise MixedSessions


@contextmanager
def _ended(session: Session) -> Iterator[Session]:
    try:
        yield session
    finally:
        session.terminate()


async def _backend(session: Session) -> int:
    """The process that works for this session; unnamed statements stay whole within a transaction."""
    async with session.transaction():
        backend: int = await session.fetchval(_BACKEND)
    return backend
