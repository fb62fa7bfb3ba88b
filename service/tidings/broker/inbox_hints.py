"""Announces that inboxes have changed: from whoever changed them to all processes with live connections.

An announcement is a hint: users and revisions, in one transient message for all that changed since the last one. Nothing
waits for a confirm and nothing fails because of a hint: the truth is in PostgreSQL, and processes with live connections
compare revisions now and then. So a lost hint costs nothing but time.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, Final, Self
from uuid import uuid4

import structlog
from aiormq.abc import AbstractChannel, DeliveredMessage
from pydantic_core import from_json, to_json

from tidings.broker.connection import BrokerConnection
from tidings.broker.consumer import Redeclare
from tidings.broker.machine import MACHINE, Machine
from tidings.broker.topology.layout import INBOX, INBOX_EXCHANGE, Topology
from tidings.broker.wire.amqp import (
    CONNECTION_ERRORS,
    FramedConnection,
    broker_errors,
    explain,
    lost_event,
    open_channel,
)
from tidings.broker.wire.frames import DeliverFrame
from tidings.broker.wire.unconfirmed import UnconfirmedChannel
from tidings.delivery.attempt import Message
from tidings.delivery.errors import BrokerUnavailable, TidingsError
from tidings.delivery.inbox import InboxChange, InboxListener
from tidings.runtime.background import BackgroundTask, cancel_requested, end
from tidings.runtime.backoff import Backoff
from tidings.settings import BrokerSettings

log = structlog.get_logger(__name__)

TOPOLOGY: Final = Topology((INBOX_EXCHANGE,), (), ())
"""All that hints need."""
WITHIN: Final = 1.0
"""Seconds to write a hint; after that it counts as lost."""
MOST_WAITING: Final = 10_000
"""Users whose changes wait for RabbitMQ; with more of them, all are lost."""
MOST_AT_ONCE: Final = 1_000
"""Users in one message."""
FAREWELL: Final = 1.0
"""Seconds to publish what is left at the end."""
CHANNEL_EVERY: Final = 1.0
"""Seconds between two channels, if RabbitMQ closes them because it refuses hints."""
QUEUE: Final[dict[str, Any]] = {
    "x-queue-type": "classic",
    "x-max-length": 10_000,
    "x-max-length-bytes": 16 * 1024 * 1024,
}
"""Of a process that falls behind, the oldest hints are dropped, which it notices by their numbers."""
MOST_PUBLISHERS: Final = 1_000
"""Publishers whose last number is remembered."""


class InboxHintPublisher:
    """Announces changes; it connects when the first is announced. Implements `tidings.delivery.inbox.InboxHints`.

    Changes wait while RabbitMQ is away, so that they are announced when it is back; of several of one user the last.

    Args:
        name: Of its connection in the management UI.
        lost: Called with a number of users whose changes will not be announced.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        name: str,
        lost: Callable[[int], None] = lambda _: None,
        machine: Machine = MACHINE,
    ) -> None:
        self._timeout = settings.amqp_timeout
        self._connection = BrokerConnection(settings, name, topology=TOPOLOGY, machine=machine)
        self._lost = lost
        self._id = uuid4().hex[:12]
        self._number = 0
        self._waiting: dict[tuple[str, str], int] = {}
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._channel: UnconfirmedChannel | None = None
        self._opened = 0.0
        self._refused = ""
        self._task: BackgroundTask | None = None

    async def __aenter__(self) -> Self:
        self._task = BackgroundTask("announce changes of inboxes", self._publish_for_ever)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(FAREWELL):
                    await self._idle.wait()
            await self._task.end()

    @property
    def connected(self) -> bool:
        """Whether RabbitMQ is connected; never before the first change."""
        return self._connection.up

    def announce(self, changes: Sequence[InboxChange]) -> None:
        """Announce committed changes, soon. It neither waits nor fails."""
        waiting = self._waiting
        for change in changes:
            user = change.tenant, change.user_id
            # Commits of one user may be heard of in another order than they were made.
            waiting[user] = max(change.revision, waiting.get(user, 0))
        if len(waiting) > MOST_WAITING:
            self._lost(len(waiting))
            self._number += 1  # listeners notice the gap
            waiting.clear()
        elif waiting:
            self._idle.clear()
            self._wake.set()

    async def _publish_for_ever(self) -> None:
        await self._wake.wait()
        async with self._connection:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._waiting:
                    await self._publish()
                self._idle.set()

    async def _publish(self) -> None:
        """Publish some of what waits, or wait for RabbitMQ."""
        try:
            with broker_errors():
                channel = await self._usable_channel()
        except TidingsError as error:
            log.debug("inbox hints wait", error=str(error))
            await asyncio.sleep(CHANNEL_EVERY)
            return
        users = self._take()
        self._number += 1
        body = to_json({"from": self._id, "number": self._number, "users": users})
        try:
            with broker_errors():
                async with asyncio.timeout(WITHIN):
                    await channel.publish(INBOX, body)
        except BrokerUnavailable as error:
            log.debug("inbox hints lost", users=len(users), error=str(error))
            self._lost(len(users))

    def _take(self) -> list[tuple[str, str, int]]:
        waiting = self._waiting
        return [(*user, waiting.pop(user)) for user in list(islice(waiting, MOST_AT_ONCE))]

    async def _usable_channel(self) -> UnconfirmedChannel:
        """The channel; a new one at most once a second, because one that may not publish is closed each time.

        Raises:
            BrokerUnavailable: RabbitMQ is unavailable.
            ConfigurationError: It has the exchange with other arguments.
        """
        channel, now = self._channel, asyncio.get_running_loop().time
        if channel is not None and not channel.is_closed:
            return channel
        if channel is not None and self._connection.up:
            if channel.why_closed != self._refused:  # not each second anew
                self._refused = channel.why_closed
                log.warning("inbox hints refused", error=self._refused)
            await asyncio.sleep(self._opened + CHANNEL_EVERY - now())
            missed_at, self._opened = self._opened, now()
            await self._connection.redeclare(missed_at)
        connection = await self._connection.get()
        self._opened = now()
        opened = await open_channel(connection, self._timeout, confirms=False)
        self._channel = UnconfirmedChannel(opened)
        return self._channel


class InboxHintConsumer:
    """Hears what others announce, in a queue of its own that RabbitMQ deletes when it leaves.

    Args:
        name: Of its connection in the management UI.
        listener: Is told of changes, and when some may have been missed: at each new connection, and at a gap.
        bind_every: Seconds after which the queue is bound again: the exchange may have been deleted and made again.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        name: str,
        listener: InboxListener,
        machine: Machine = MACHINE,
        *,
        bind_every: float = 30.0,
    ) -> None:
        self._bind_every = bind_every
        self._timeout = settings.amqp_timeout
        self._connection = BrokerConnection(
            settings, name, topology=TOPOLOGY, consumers=[self], machine=machine
        )
        self._listener = listener
        self._numbers: dict[str, int] = {}
        """The last of each publisher."""
        self._task: asyncio.Task[None] | None = None
        self.hears = False
        """Whether hints arrive now; compare revisions more often while they don't."""

    async def __aenter__(self) -> Self:
        await self._connection.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._end()
        await self._connection.__aexit__(*error)

    async def start(self, connection: FramedConnection, redeclare: Redeclare) -> None:
        """Listen on a new connection, for `BrokerConnection`."""
        await self._end()
        self._task = asyncio.create_task(
            self._listen_on(connection, redeclare), name="listen for changes of inboxes"
        )

    async def _end(self) -> None:
        if self._task is not None:
            await end(self._task)
            self._task = None

    async def _listen_on(self, connection: FramedConnection, redeclare: Redeclare) -> None:
        backoff, now = Backoff(longest=5), asyncio.get_running_loop().time
        while not connection.is_closed:
            began = now()
            try:
                with broker_errors():
                    await self._listen(connection)
            except TidingsError as error:
                log.warning("inbox hints not heard", error=str(error))
            except Exception:
                log.exception("unexpected error: listening for inbox hints again")
            if now() - began > backoff.longest:
                backoff.reset()
            await asyncio.sleep(backoff.next())
            if not connection.is_closed:
                await self._declare_again(redeclare, began)

    async def _declare_again(self, redeclare: Redeclare, missed_at: float) -> None:
        try:
            await redeclare(missed_at)
        except TidingsError as error:
            log.warning("exchange of inbox hints not declared", error=str(error))

    async def _listen(self, connection: FramedConnection) -> None:
        """Listen until the channel or its queue is lost."""
        channel = await open_channel(connection, self._timeout, confirms=False)
        try:
            lost = lost_event(channel)
            queue = await self._consume(connection, channel)
            self.hears = True
            self._numbers.clear()
            self._listener.missed()  # whatever changed before
            while not await _within(self._bind_every, lost):
                await channel.queue_bind(queue, INBOX, timeout=self._timeout)
        finally:
            self.hears = False
            if not cancel_requested():
                self._listener.missed()  # so that it does not go on waiting for hints
                log.info("inbox hints are not heard for now")
            await _close(channel, self._timeout)
            connection.frames.leave(channel.number)

    async def _consume(self, connection: FramedConnection, channel: AbstractChannel) -> str:
        """Consume a new queue; returns its name."""
        queue = f"{INBOX}.{uuid4().hex}"
        await channel.queue_declare(
            queue, exclusive=True, auto_delete=True, arguments=QUEUE, timeout=self._timeout
        )
        await channel.queue_bind(queue, INBOX, timeout=self._timeout)
        connection.frames.take(channel.number, self._took)
        await channel.basic_consume(queue, _taken_before, no_ack=True, timeout=self._timeout)
        return queue

    def _took(self, _: DeliverFrame, message: Message) -> None:
        """Pass a hint on. An error here would end the connection."""
        try:
            publisher, number, changes = _read(message.body)
        except (ValueError, TypeError, KeyError):
            log.warning("inbox hint not understood")
            self._listener.missed()
            return
        last = self._numbers.pop(publisher, number - 1)
        self._numbers[publisher] = number
        if len(self._numbers) > MOST_PUBLISHERS:
            del self._numbers[next(iter(self._numbers))]
        self._listener.hinted(changes)
        if number != last + 1:
            self._listener.missed()


def _read(body: bytes) -> tuple[str, int, Sequence[InboxChange]]:
    hint: Any = from_json(body)
    changes = [
        InboxChange(str(tenant), str(user), int(revision))
        for tenant, user, revision in hint["users"]
    ]
    return str(hint["from"]), int(hint["number"]), changes


async def _within(seconds: float, event: asyncio.Event) -> bool:
    """Whether it is set within so many seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            return await event.wait()
    return False


async def _close(channel: AbstractChannel, timeout: float) -> None:
    try:
        async with asyncio.timeout(timeout):
            await channel.close()
    except CONNECTION_ERRORS as error:
        log.debug("closing a broken channel", error=explain(error))


async def _taken_before(_: DeliveredMessage) -> None:
    """For aiormq, which never calls it: `Frames` takes all messages."""
