"""The rig of the in-app inbox, whose provider is PostgreSQL: a wire to it for each behaviour."""

from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import ClassVar, Self
from urllib.parse import urlsplit, urlunsplit

from tests.contract.channels.rig import PERSONAL, WORDS, Behaviour, request_for
from tests.contract.channels.rigs.postgres_wire import QUOTED, PostgresWire
from tests.support.ledger_rig import settings_of

from tidings.channels.in_app.channel import InAppChannel
from tidings.delivery.inbox import InboxMessage
from tidings.delivery.ports import Channel, Content, SendRequest
from tidings.ledger.database import PostgresDatabase
from tidings.ledger.inbox.delivering import InboxDeliveries

USER = "wilhelmina.harker"
NOBODY = 1
"""A port where nobody listens."""
WITHIN = 1.0
"""Seconds after which a statement is given up."""
PATIENCE = 10.0
"""The same if nothing is wrong: a busy machine takes its time."""
BY_WIRE = (
    *(Behaviour.DELIVERED, Behaviour.UNAVAILABLE, Behaviour.MISCONFIGURED, Behaviour.TIMEOUT),
    *(Behaviour.REPLY_LOST, Behaviour.REPLY_LATE, Behaviour.GARBAGE, Behaviour.ENDLESS),
)


class ScriptedInbox:
    """For each message, an inbox in a PostgreSQL with the behaviour whose turn it is: none waits for another's."""

    def __init__(self, rig: "InAppRig") -> None:
        self._rig = rig
        self._inboxes = {
            behaviour: InboxDeliveries(database, size=1)
            for behaviour, database in rig.databases.items()
        }

    async def deliver(self, message: InboxMessage, timeout: float) -> None:
        """Deliver to the next."""
        await self._next().deliver(message, timeout)

    async def check(self) -> None:
        """Check the next."""
        await self._next().check()

    def _next(self) -> InboxDeliveries:
        script = self._rig.behaviours
        behaviour = script.popleft() if script else Behaviour.DELIVERED
        return self._inboxes.get(behaviour, self._inboxes[Behaviour.DELIVERED])


class InAppRig:
    """PostgreSQL, which takes one message a statement here.

    It limits no rate, and no user's inbox refuses a message: there is neither `THROTTLED` nor `REJECTED`.
    """

    name: ClassVar[str] = "in_app"
    speaks: ClassVar[frozenset[Behaviour]] = frozenset({*BY_WIRE, Behaviour.GONE})
    faults: ClassVar[frozenset[Behaviour]] = frozenset(
        {Behaviour.GONE, Behaviour.UNAVAILABLE, Behaviour.MISCONFIGURED, Behaviour.TIMEOUT}
    )
    personal: ClassVar[tuple[str, ...]] = (USER, *PERSONAL)
    fixtures: ClassVar[tuple[str, ...]] = ("inbox_database_url",)

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._stack = AsyncExitStack()
        self._wires: dict[Behaviour, PostgresWire] = {}
        self.databases: dict[Behaviour, PostgresDatabase] = {}
        """By the behaviour of the wire to them."""
        self.behaviours: deque[Behaviour] = deque()
        """Of the messages to come."""

    async def __aenter__(self) -> Self:
        try:
            await self._open()
        except BaseException:  # nobody leaves what could not be entered
            await self._stack.aclose()
            raise
        return self

    async def _open(self) -> None:
        databases = self.databases
        for behaviour in BY_WIRE:
            wire = PostgresWire(self._url, behaviour, QUOTED)
            self._wires[behaviour] = await self._stack.enter_async_context(wire)
            usual = behaviour is Behaviour.DELIVERED
            databases[behaviour] = await self._opened(wire.url, PATIENCE if usual else WITHIN)
        parts = urlsplit(self._url)
        nowhere = parts._replace(netloc=f"tidings@127.0.0.1:{NOBODY}")
        databases[Behaviour.GONE] = await self._opened(urlunsplit(nowhere), WITHIN)
        delivered = databases[Behaviour.DELIVERED]
        async with delivered.connection(), delivered.connection():
            pass  # as many as it takes: later ones would look like the channel's

    async def _opened(self, url: str, timeout: float) -> PostgresDatabase:
        settings = settings_of(url, database_timeout=timeout)
        return await self._stack.enter_async_context(PostgresDatabase(settings))

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def channel(self) -> Channel:
        """A channel that delivers each message by itself, so that each has the behaviour of its turn."""
        return InAppChannel(ScriptedInbox(self))

    def request(self, *, timeout: float = 5.0) -> SendRequest:
        """A message to one user."""
        fields = {
            "channel": "in_app",
            "recipient": USER,
            "title": WORDS.subject,
            "body": WORDS.text,
            "data": {"words": WORDS.text},
        }
        return request_for(fields, Content(WORDS.text, WORDS.subject), timeout=timeout)

    def script(self, *behaviours: Behaviour) -> None:
        """One for each statement to come."""
        self.behaviours = deque(behaviours)

    @property
    def taken(self) -> int:
        """Messages that PostgreSQL was given."""
        return sum(
            wire.taken
            for behaviour, wire in self._wires.items()
            if behaviour not in {Behaviour.UNAVAILABLE, Behaviour.MISCONFIGURED}
        )

    @property
    def silent(self) -> int:
        """Statements, and openings of connections, left without an answer."""
        return sum(wire.silent for wire in self._wires.values())

    @property
    def connections(self) -> int:
        """None is the channel's: they are the ledger's, which the process closes."""
        return 0


RIG: Callable[..., InAppRig] = InAppRig
