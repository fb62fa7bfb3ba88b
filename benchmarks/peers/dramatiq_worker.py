"""Dramatiq's actors, one for each queue."""

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.middleware import CurrentMessage, default_middleware

from benchmarks.peers import threaded
from benchmarks.peers.work import SETTINGS, TemporaryFailure

broker = RabbitmqBroker(
    url=SETTINGS.amqp_url,
    confirm_delivery=True,
    middleware=[
        *(kind() for kind in default_middleware if kind.__name__ != "Prometheus"),
        CurrentMessage(),
    ],
)
dramatiq.set_broker(broker)
for queue in SETTINGS.queues:
    broker.declare_queue(queue)


@dramatiq.actor(queue_name=SETTINGS.queues[0], actor_name="deliver", max_retries=3)
def deliver(text: str) -> None:
    """One notification."""
    message = CurrentMessage.get_current_message()
    try:
        threaded.do(text, message.options.get("retries", 0) + 1)
    except TemporaryFailure as failure:
        raise dramatiq.Retry("not the first time", delay=SETTINGS.retry_after * 1000) from failure
