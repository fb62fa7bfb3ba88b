"""taskiq's broker and its task."""

from typing import Annotated

from taskiq import Context, SmartRetryMiddleware, TaskiqDepends, TaskiqEvents, TaskiqState
from taskiq_aio_pika import AioPikaBroker, Exchange, Queue

from benchmarks.peers.asynchronous import Work
from benchmarks.peers.work import SETTINGS

broker = AioPikaBroker(
    SETTINGS.amqp_url,
    qos=SETTINGS.prefetch,
    exchange=Exchange(name="bench"),
    task_queues=[Queue(name=name) for name in SETTINGS.queues],
    dead_letter_queue=Queue(name="bench.dead"),
    delay_queue=Queue(name="bench.delayed"),
).with_middlewares(
    SmartRetryMiddleware(
        default_retry_count=3,
        default_retry_label=True,
        default_delay=SETTINGS.retry_after,
        use_jitter=False,
    )
)
_work: list[Work] = []


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def start(state: TaskiqState) -> None:
    """Connects to the database."""
    _work.append(await Work.start())


@broker.task(task_name="deliver")
async def deliver(text: str, context: Annotated[Context, TaskiqDepends()]) -> None:
    """One notification."""
    await _work[0].do(text, int(context.message.labels.get("_retries", 0)) + 1)
