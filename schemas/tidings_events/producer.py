"""Publishes notifications: persistent, mandatory, confirmed, within a timeout."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import length_hint
from ssl import SSLContext
from types import TracebackType
from typing import Self

import aiormq

from tidings_events.errors import (
    NotConfirmed,
    SomeNotPublished,
    TidingsEventsError,
    Unreachable,
)
from tidings_events.link import Link
from tidings_events.notifications import Notification
from tidings_events.publication import (
    REFUSED,
    OutgoingMessage,
    check_app_id,
    lane_full,
    no_exchange,
    no_queue,
    publication_of,
)
from tidings_events.routing import EXCHANGE


class _Lost(Exception):
    """The connection was lost during a publish: it may or may not have arrived."""


class Producer:
    """Publishes notifications, and returns once the broker has stored them.

        async with Producer("amqp://localhost") as producer:
            await producer.publish(SmsNotification(recipient="+14155550123", body="Hello"))

    It connects when first used and again whenever the connection is lost. Share one per process:
    any number of tasks may publish at once. A publish whose connection is lost is repeated within
    its timeout; since it carries the same id, Tidings delivers it once.
    """

    def __init__(
        self,
        urls: str | Sequence[str],
        *,
        timeout: float = 10.0,
        max_unconfirmed: int = 1000,
        ssl_context: SSLContext | None = None,
        name: str = "tidings producer",
        app_id: str | None = None,
    ) -> None:
        """`urls` are tried in turn. `timeout`, in seconds, bounds each publish, connecting included.

        `max_unconfirmed` bounds how many notifications `publish_many` publishes at once.
        `ssl_context` is for amqps URLs; certificates are verified by default. `name` is what the
        broker's management UI shows. `app_id` is the AMQP property by which dead letters name their
        producer, at most 255 bytes. Raises ValueError if it is longer, or a URL is not an AMQP URL.
        """
        check_app_id(app_id)
        brokers = [urls] if isinstance(urls, str) else list(urls)
        self._app_id = app_id
        self._timeout = timeout
        self._max_unconfirmed = max_unconfirmed
        self._link = Link(
            brokers,
            name=name,
            attempt_timeout=max(1.0, timeout / max(1, len(brokers))),
            ssl_context=ssl_context,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection. What is not yet confirmed fails with NotConfirmed."""
        await self._link.close()

    async def publish(
        self,
        notification: Notification,
        *,
        headers: Mapping[str, str] | None = None,
        traceparent: str | None = None,
    ) -> None:
        """Publish one notification; once this returns the broker has stored it.

        `traceparent` (W3C Trace Context) links the delivery to your trace. Raises Unroutable,
        NotConfirmed or Unreachable, and InvalidNotification if it is too large.
        """
        await self._publish(publication_of(notification, headers, traceparent, self._app_id))

    async def publish_many(
        self,
        notifications: Iterable[Notification],
        *,
        headers: Mapping[str, str] | None = None,
        traceparent: str | None = None,
    ) -> int:
        """Publish all, many at a time, in no particular order. Returns how many there were.

        Reads `notifications` while publishing, so it may be a generator. Raises SomeNotPublished with
        each failure after the others were confirmed. If the broker is unreachable for one, the rest
        fail at once.
        """
        batch = _Batch(self, notifications, dict(headers or {}), traceparent)
        at_once = min(self._max_unconfirmed, length_hint(notifications, self._max_unconfirmed))
        return await batch.publish(at_once)

    async def _publish(self, publication: OutgoingMessage) -> None:
        deadline = asyncio.get_running_loop().time() + self._timeout
        maybe_sent = False
        while True:
            channel = self._link.open_channel
            if channel is None:
                channel = await self._channel_by(deadline, maybe_sent=maybe_sent)
            try:
                await self._attempt(channel, publication, deadline)
            except _Lost:
                maybe_sent = True
            else:
                return

    async def _channel_by(self, deadline: float, *, maybe_sent: bool) -> aiormq.Channel:
        try:
            async with asyncio.timeout_at(deadline):
                return await self._link.channel()
        except (TimeoutError, Unreachable) as error:
            why = str(error) or f"no broker within {self._timeout:g}s ({self._link.last_error})"
            if maybe_sent:
                raise NotConfirmed(
                    f"the connection was lost before the confirm came, then {why}"
                ) from None
            raise Unreachable(why) from None

    async def _attempt(
        self, channel: aiormq.Channel, publication: OutgoingMessage, deadline: float
    ) -> None:
        try:
            async with self._link.until(deadline, channel):
                await _send(channel, publication)
        except NotConfirmed:
            self._link.retire(channel)
            raise
        except TimeoutError:
            if channel.is_closed:
                raise _Lost from None
            raise NotConfirmed(
                f"no confirm within {self._timeout:g}s; publish it again with the same id"
            ) from None


class _Batch:
    """Many notifications, published by as many tasks as may be unconfirmed at once."""

    def __init__(
        self,
        producer: Producer,
        notifications: Iterable[Notification],
        headers: Mapping[str, str],
        traceparent: str | None,
    ) -> None:
        self._producer = producer
        self._waiting: Iterator[Notification] = iter(notifications)
        self._headers = headers
        self._traceparent = traceparent
        self._attempted = 0
        self._failures: list[tuple[Notification, TidingsEventsError]] = []
        self._unreachable: Unreachable | None = None

    async def publish(self, at_once: int) -> int:
        # With exceptions returned, publishes under way finish even if the caller's generator fails.
        results = await asyncio.gather(
            *(self._publish_waiting() for _ in range(at_once)), return_exceptions=True
        )
        for result in results:
            if result is not None:
                raise result
        if self._failures:
            raise SomeNotPublished(self._failures, self._attempted)
        return self._attempted

    async def _publish_waiting(self) -> None:
        for notification in self._waiting:
            self._attempted += 1
            try:
                await self._publish_next(notification)
            except TidingsEventsError as error:
                self._failures.append((notification, error))

    async def _publish_next(self, notification: Notification) -> None:
        if self._unreachable is not None:
            raise Unreachable(f"not tried: {self._unreachable}")
        try:
            await self._producer.publish(
                notification, headers=self._headers, traceparent=self._traceparent
            )
        except Unreachable as error:
            self._unreachable = error
            raise


def publish_sync(
    url: str | Sequence[str], *notifications: Notification, timeout: float = 10
) -> int:
    """Publish from code that is not asynchronous (Django, Flask, a Celery task, a script).

    Connects, publishes all, disconnects: pass many in one call. Returns how many were published.
    Raises SomeNotPublished if some were not.
    """

    async def run() -> int:
        async with Producer(url, timeout=timeout) as producer:
            return await producer.publish_many(notifications)

    return asyncio.run(run())


async def _send(channel: aiormq.Channel, publication: OutgoingMessage) -> None:
    try:
        await channel.basic_publish(
            publication.body,
            exchange=EXCHANGE,
            routing_key=publication.routing_key,
            properties=publication.properties(),
            mandatory=True,
            wait=False,
        )
    except aiormq.PublishError:
        raise no_queue(publication.routing_key) from None
    except aiormq.DeliveryError:
        raise lane_full(publication.routing_key) from None
    except aiormq.ChannelNotFoundEntity:
        raise no_exchange() from None
    except (aiormq.ChannelAccessRefused, aiormq.ChannelPreconditionFailed) as error:
        raise NotConfirmed(f"{REFUSED}{error}") from None
    except asyncio.CancelledError:
        # aiormq also rejects publishes under way with CancelledError; only a real cancellation is counted.
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise _Lost from None
    except Exception:
        # If the peer just closes the socket, aiormq rejects with a bare Exception.
        if not channel.is_closed:
            raise
        raise _Lost from None
