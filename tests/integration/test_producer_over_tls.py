"""The producer over TLS: a certificate it can verify, and one it can't."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress

import aio_pika
import pytest
import trustme
from yarl import URL

from tidings_events import Producer, SmsNotification, Unreachable
from tidings_events.routing import EXCHANGE


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def tls_url(broker_url: str, authority: trustme.CA) -> AsyncIterator[str]:
    """Where TLS ends and the broker begins."""
    broker = URL(broker_url)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert broker.host
        there, back = await asyncio.open_connection(broker.host, broker.port)
        await asyncio.gather(copy(reader, back), copy(there, writer))

    server = await asyncio.start_server(forward, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield str(broker.with_scheme("amqps").with_host("127.0.0.1").with_port(port))


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def sms() -> SmsNotification:
    return SmsNotification(recipient="+14155550123", body="Hello")


async def test_a_verified_broker_is_published_to(
    broker_url: str, tls_url: str, authority: trustme.CA
) -> None:
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    connection = await aio_pika.connect(broker_url)
    async with connection, connection.channel() as channel:
        exchange = await channel.declare_exchange(EXCHANGE, "topic", durable=True)
        queue = await channel.declare_queue("lane", durable=True)
        await queue.bind(exchange, "sms.*")
        async with Producer(tls_url, ssl_context=trusting) as producer:
            await producer.publish(sms())
        assert await queue.get(no_ack=True)


async def test_a_broker_whose_certificate_nobody_vouches_for_is_unreachable(tls_url: str) -> None:
    async with Producer(tls_url, timeout=1) as producer:
        with pytest.raises(Unreachable, match="certificate verify failed"):
            await producer.publish(sms())
