"""FastStream's application: a subscriber for each queue."""

import logging

import uvloop
from faststream import AckPolicy, FastStream
from faststream.rabbit import Channel, RabbitBroker, RabbitMessage, RabbitQueue
from faststream.rabbit.schemas.queue import QueueType

from benchmarks.peers.asynchronous import Work
from benchmarks.peers.work import SETTINGS

logger = logging.getLogger("bench")
broker = RabbitBroker(SETTINGS.amqp_url, log_level=logging.DEBUG, logger=logger)
app = FastStream(broker, logger=logger)
_work: list[Work] = []


@app.on_startup
async def start() -> None:
    """Connects to the database."""
    _work.append(await Work.start())


async def deliver(message: RabbitMessage) -> None:
    """One notification."""
    await _work[0].do(message.body)


for name in SETTINGS.queues:
    broker.subscriber(
        RabbitQueue(name, queue_type=QueueType.QUORUM, durable=True),
        channel=Channel(prefetch_count=SETTINGS.prefetch),
        ack_policy=AckPolicy.NACK_ON_ERROR,
    )(deliver)


if __name__ == "__main__":
    uvloop.run(app.run())
