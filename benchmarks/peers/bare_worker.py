"""The bare loop: consume by callback, ack, record nothing."""

import asyncio

import aio_pika
import uvloop

from benchmarks.peers.work import SETTINGS


async def main() -> None:
    connection = await aio_pika.connect(SETTINGS.amqp_url)
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=SETTINGS.prefetch)
    queue = await channel.get_queue(SETTINGS.queues[0], ensure=False)

    async def on_message(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        await message.ack()

    await queue.consume(on_message)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
