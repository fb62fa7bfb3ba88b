"""Celery's application: late acks, quorum queues, no result backend."""

from celery import Celery
from kombu import Queue

from benchmarks.peers import threaded
from benchmarks.peers.work import SETTINGS, TemporaryFailure

app = Celery("bench", broker=SETTINGS.amqp_url)
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    task_default_queue_type="quorum",
    task_queues=[
        Queue(name, routing_key=name, queue_arguments={"x-queue-type": "quorum"})
        for name in SETTINGS.queues
    ],
    task_default_queue=SETTINGS.queues[0] if SETTINGS.queues else "bench.normal",
    worker_prefetch_multiplier=8,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    worker_hijack_root_logger=False,
    broker_transport_options={"confirm_publish": True},
    broker_connection_retry_on_startup=True,
)


@app.task(bind=True, name="deliver", max_retries=3)
def deliver(self, text: str) -> None:
    """One notification."""
    try:
        threaded.do(text, self.request.retries + 1)
    except TemporaryFailure as failure:
        raise self.retry(exc=failure, countdown=SETTINGS.retry_after) from failure
