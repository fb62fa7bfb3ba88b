"""Publishes in bulk with `Producer`, as a service that uses it would.

python -m benchmarks.contenders.tidings_producer AMQP_URL COUNT
"""

import asyncio
import sys
import time

import uvloop

from benchmarks.messages import messages
from tidings_events import Producer, parse


async def main(url: str, count: int) -> float:
    """Notifications confirmed a second; making them is not counted."""
    notifications = [parse(message.body) for message in messages(count)]
    async with Producer(url, timeout=60) as producer:
        await producer.publish(notifications[0])
        began = time.perf_counter()
        await producer.publish_many(notifications[1:])
        return (count - 1) / (time.perf_counter() - began)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(runner.run(main(sys.argv[1], int(sys.argv[2]))))
