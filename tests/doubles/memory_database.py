"""PostgreSQL as far as the ledger uses it, in memory: statements, transactions, NOTIFY, and lost replies.

Every statement runs alone and whole, and while a transaction is open no other runs: what the
ledger's rows under lock see of each other is for PostgreSQL's own tests, not for these.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import Context, copy_context
from typing import Any, Generic, Self, TypeVar, TypeVarTuple, cast

from tests.doubles.faults import Faults
from tests.doubles.loop import PROCESS, Process
from tests.doubles.memory_dead_letter_statements import STATEMENTS
from tests.doubles.memory_tables import Row, Statement, Tables

from tidings.delivery.errors import LedgerUnavailable
from tidings.ledger.database import Connection

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


class MemoryServer:
    """The tables, who is in a transaction, and who listens."""

    def __init__(
        self, tables: Tables, trouble: Faults, statements: Mapping[str, Statement] = STATEMENTS
    ) -> None:
        self.tables = tables
        self.statements = statements
        self.trouble = trouble
        self.under_way = 0
        """Requests sent and not answered."""
        self._holder: _Session | None = None
        self._undo: Callable[[], None] | None = None
        self._waiting: deque[Callable[[], None]] = deque()
        self._listeners: list[tuple[str, asyncio.Event, Context]] = []

    def whenever_free(self, session: "_Session", work: Callable[[], None]) -> None:
        """Run it now, or once no other transaction is open."""
        if self._holder in {None, session}:
            work()
        else:
            self._waiting.append(work)

    def holds(self, session: "_Session") -> bool:
        """Whether it has a transaction open."""
        return self._holder is session

    def begin(self, session: "_Session") -> None:
        """Open a transaction."""
        self._holder, self._undo = session, self.tables.snapshot()

    def end(self, session: "_Session", *, commit: bool) -> None:
        """Close a transaction, unless it was closed."""
        if self._holder is not session:
            return
        if not commit and self._undo is not None:
            self._undo()
        self._holder = self._undo = None
        self.tell_listeners()
        while self._waiting and self._holder is None:
            self._waiting.popleft()()

    def process_died(self, process: Process) -> None:
        """Its transaction is rolled back, unless its COMMIT was on the way."""
        if (holder := self._holder) is not None and holder.process is process:
            self.end(holder, commit=holder.committing)

    def tell_listeners(self) -> None:
        """Deliver what was notified."""
        if self._holder is not None:
            return
        channels, self.tables.notified = self.tables.notified, []
        for channel, event, context in self._listeners:
            if channel in channels and not self.trouble.strikes("notification lost", channel):
                asyncio.get_running_loop().call_later(
                    self.trouble.latency(), event.set, context=context
                )

    def listen(self, channel: str, event: asyncio.Event) -> Callable[[], None]:
        """Set an event at every NOTIFY; how to stop."""
        listener = (channel, event, copy_context())
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)


class _Session:
    """One connection: asks the server, and waits for its answers within a limit."""

    def __init__(self, server: MemoryServer, timeout: float) -> None:
        self.process = PROCESS.get()
        self.committing = False
        self.in_transaction = False
        self._server = server
        self._timeout = timeout

    async def fetch(self, statement: str, *arguments: Any) -> list[Row]:
        """All rows."""
        work = self._server.statements[statement]

        def run() -> list[Row]:
            return list(work(self._server.tables, *arguments))

        return await self.ask(work.__name__, run)

    async def execute(self, statement: str, *arguments: Any) -> None:
        """No rows."""
        await self.fetch(statement, *arguments)

    async def fetchrow(self, statement: str, *arguments: Any) -> Row | None:
        """The first row."""
        return next(iter(await self.fetch(statement, *arguments)), None)

    async def fetchval(self, statement: str, *arguments: Any) -> Any:
        """The first column of the first row."""
        row = await self.fetchrow(statement, *arguments)
        return next(iter(row.values())) if row else None

    async def ask(self, name: str, effect: Callable[[], Result]) -> Result:
        """Have something done. Raises `LedgerUnavailable`, done or not."""
        if self._server.trouble.strikes("statement lost", name):
            await asyncio.sleep(self._server.trouble.latency())
            raise LedgerUnavailable(f"memory: {name} did not arrive")
        request = _Request(self._server, self, name, effect)
        try:
            async with asyncio.timeout(self._timeout):
                return await request.answer
        except TimeoutError:
            raise LedgerUnavailable("memory: no answer in time") from None


class _Request(Generic[Result]):
    """A statement on its way to the server, and its answer on the way back."""

    def __init__(
        self, server: MemoryServer, session: _Session, name: str, effect: Callable[[], Result]
    ) -> None:
        self._server = server
        self._session = session
        self._name = name
        self._effect = effect
        self._context = copy_context()
        self._loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Result] = self._loop.create_future()
        server.under_way += 1
        self._later("slow request", server.whenever_free, session, self._run)

    @property
    def wanted(self) -> bool:
        """Whether anybody waits for the answer."""
        process = self._session.process
        return not self.answer.done() and (process is None or process.alive)

    @property
    def _too_late(self) -> bool:
        if self._name == "begin":
            return not self.wanted
        return self._session.in_transaction and not self._server.holds(self._session)

    def _later(
        self, trouble: str, step: Callable[[*Arguments], object], *arguments: *Arguments
    ) -> None:
        """The network and the server outlive the client."""
        slow = self._server.trouble.strikes(trouble, self._name)
        late = self._server.trouble.delay() if slow else self._server.trouble.latency()
        self._loop.call_later(late, step, *arguments, context=Context())

    def _run(self) -> None:
        if self._too_late:  # its connection is closed, and its transaction with it
            self._server.under_way -= 1
            return
        try:
            result: Result | Exception = self._effect()
        except Exception as error:  # noqa: BLE001  # the caller's
            result = error
        if not self._session.in_transaction:
            self._server.tell_listeners()
        self._later("slow reply", self._deliver, result)

    def _deliver(self, result: Result | Exception) -> None:
        self._server.under_way -= 1
        if self.wanted:
            self._context.run(self._set, result)

    def _set(self, result: Result | Exception) -> None:
        if self._server.trouble.strikes("reply lost", self._name):
            result = LedgerUnavailable(f"memory: the reply to {self._name} was lost")
        if isinstance(result, Exception):
            self.answer.set_exception(result)
        else:
            self.answer.set_result(result)


class MemoryDatabase:
    """One process's way to the server."""

    def __init__(self, server: MemoryServer, timeout: float = 10.0) -> None:
        self.answers = True
        self._server = server
        self._timeout = timeout

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is open."""

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """For statements that are each a transaction."""
        yield cast(Connection, _Session(self._server, self._timeout))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """For several statements that happen together or not at all."""
        server, session = self._server, _Session(self._server, self._timeout)
        session.in_transaction = True
        try:
            await session.ask("begin", lambda: server.begin(session))
            yield cast(Connection, session)
            session.committing = True
            await session.ask("commit", lambda: server.end(session, commit=True))
        finally:
            server.end(session, commit=False)

    @asynccontextmanager
    async def listening(
        self, channel: str, wake: asyncio.Event
    ) -> AsyncIterator[Callable[[], bool]]:
        """Set `wake` at every NOTIFY on `channel`, and go on listening."""
        async with self.connection():
            stop = self._server.listen(channel, wake)
            try:
                yield lambda: True
            finally:
                stop()
