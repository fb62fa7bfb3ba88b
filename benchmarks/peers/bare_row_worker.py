"""The bare loop with a row: consume by callback, insert one row, ack."""

import asyncio
import uuid

import aio_pika
import asyncpg
import uvloop

from benchmarks.peers.work import SETTINGS

INSERT = """
INSERT INTO peer_notifications (id, channel, priority, category, recipient, payload, state)
VALUES ($1, '', '', '', '', $2::jsonb, '')
"""


async def main() -> None:
    pool = await asyncpg.create_pool(SETTINGS.database_url, min_size=8, max_size=8)
    connection = await aio_pika.connect(SETTINGS.amqp_url)
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=SETTINGS.prefetch)
    queue = await channel.get_queue(SETTINGS.queues[0], ensure=False)

    async def on_message(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        await pool.execute(INSERT, uuid.uuid4(), message.body.decode())
        await message.ack()

    await queue.consume(on_message)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
