"""Faults of RabbitMQ: connections cut, confirms lost, queues and exchanges deleted or full, alarms."""

import asyncio
from collections.abc import Sequence
from time import time
from typing import Final
from urllib.parse import quote

from tests.chaos.evidence import Recovery
from tests.chaos.load import PLAIN, USUAL
from tests.chaos.scenario import scenario
from tests.chaos.verdict import Expectations
from tests.chaos.world import LANE, PROGRESS, World

TIER: Final = "tidings.email.retry.1s"
EXCHANGE: Final = "tidings.notifications"


@scenario(
    2,
    "connection-lost-while-sending",
    "every connection to RabbitMQ is cut while messages are being sent",
    "C, D = 0",
    count=3000,
    relayed=["amqp"],
    mutant="send-in-callback",
)
async def connection_lost_while_sending(made: World) -> Expectations | None:
    """No send is cancelled: whoever has the message next finds it claimed, then finished."""
    await made.start_roles()
    made.sink.delay = 0.3
    async with made.publishing():
        for _ in range(6):
            await made.until(lambda: made.sink.in_hand > 20, "sends under way", 40)
            made.relays["amqp"].cut()
            made.fault("connections cut")
            await made.recovers("connections cut")
    return Expectations(duplicates=0)


@scenario(
    3,
    "confirm-lost",
    "confirms are lost after RabbitMQ has taken the message",
    "C, D = 0",
    count=2000,
    relayed=["amqp"],
    mutant="claimed-again",
)
async def confirm_lost(made: World) -> Expectations | None:
    """Producers and workers publish through a wire that swallows replies and is cut then."""
    await made.start_roles()
    relay = made.relays["amqp"]
    direct = made.load.url
    made.load.url = lambda: relay.url
    busy = {**USUAL, "plain": 58, "busy": 34}
    # So that there is something to confirm, and something to deliver, at every fault and after it.
    steadily = made.options.count / 25
    async with made.publishing(made.writer(busy).items(made.options.count), rate=steadily):
        for number in range(8):
            await asyncio.sleep(made.random.uniform(0.5, 1.0))
            if number % 2:
                relay.hold_replies()
                await asyncio.sleep(0.3)
                relay.cut()
                relay.let_go()
            else:
                relay.lose()
                await asyncio.sleep(0.5)
                relay.cut()
            made.fault("replies lost")
            await made.recovers("replies lost")
    made.load.url = direct
    made.notes.append(f"{made.load.repeated} publishes repeated by producers")
    assert made.load.repeated, "no confirm was lost on its way to a producer: this shows nothing"
    return Expectations(duplicates=0)


@scenario(
    4,
    "binding-deleted",
    "a lane's binding and a retry queue are deleted under load",
    "F, C",
    count=3000,
    mutant="not-mandatory",
)
async def binding_deleted(made: World) -> Expectations | None:
    """What is confirmed meanwhile is in the dead letters, and delivered when it is replayed."""
    await made.start_roles()
    manage = made.broker.management
    vhost = quote(manage.vhost, safe="")
    await manage.delete_queue(TIER)  # nothing has been published: it is empty
    made.fault("retry queue deleted")
    mix = {"plain": 85, "busy": 12, "reject": 3}
    async with made.publishing(made.writer(mix).items(made.options.count), rate=500):
        for _ in range(3):
            await asyncio.sleep(0.7)
            rows = await manage.call("GET", f"bindings/{vhost}/e/{EXCHANGE}/q/{LANE}")
            for row in rows:
                key = quote(row["properties_key"], safe="")
                await manage.call("DELETE", f"bindings/{vhost}/e/{EXCHANGE}/q/{LANE}/{key}")
            made.fault("binding deleted")
            await asyncio.sleep(0.7)
            applied = await made.tidings("topology", "apply")
            assert applied.code == 0, applied.err
    await made.recovers("bindings restored")
    await made.until(made.nothing_left, "every message settled", 60)
    dead_letters = await made.fetch(
        "SELECT count(*) AS n FROM dead_letters WHERE reason = 'unroutable'"
    )
    made.notes.append(f"{dead_letters[0]['n']} dead letters with the reason unroutable, replayed")
    assert dead_letters[0]["n"], (
        "nothing was published while there was no binding: this run shows nothing"
    )
    replayed = await made.tidings("replay", "--reason", "unroutable", "--yes")
    assert replayed.code in (0, 1), (
        replayed.out + replayed.err
    )  # 1: some failed again, as they must
    return Expectations(duplicates=0)


@scenario(
    5,
    "retry-queue-full",
    "a retry queue is full",
    "F, D = 0",
    count=1500,
    mutant="ack-before-confirm",
)
async def retry_queue_full(made: World) -> Expectations | None:
    """What can't be put aside stays unacknowledged, and is put aside once there is room."""
    await made.start_roles()
    manage = made.broker.management
    await manage.set_policy("chaos-full", r"\.retry\.", {"max-length": 5})
    made.fault("retry queues full")
    made.sink.refuse_all = True
    mix = {"plain": 100}
    async with made.publishing(made.writer(mix).items(made.options.count)):
        await made.until(_holding(made), "messages that can't be put aside", 40)
        await made.until(_more(made, 5), "the management API to count what is held", 20)
        await asyncio.sleep(2)
        made.sink.refuse_all = False
        await manage.call("DELETE", f"policies/{quote(manage.vhost, safe='')}/chaos-full")
    await made.recovers("room again")
    return Expectations(duplicates=0)


def _holding(made: World):
    def holding() -> bool:
        return any("its queue is full" in worker.last_words(200_000) for worker in made.workers)

    return holding


@scenario(
    6,
    "memory-alarm",
    "RabbitMQ blocks publishers for want of memory, then of disk",
    "P, acks flow",
    count=3000,
    mutant="one-connection",
)
async def memory_alarm(made: World) -> Expectations | None:
    """What needs no publishing is still delivered and acknowledged; afterwards all goes on."""
    made.sink.delay = 1.0  # so that an alarm finds something left to acknowledge
    await made.publish(made.options.count, {**USUAL, "plain": 70, "busy": 22})
    await made.start_roles()
    await made.recovers("start")
    await _alarmed(made, "memory", ("set_vm_memory_high_watermark", "0.00001"))
    await made.broker.ctl("set_vm_memory_high_watermark", "0.4")
    await made.recovers("memory alarm over", PROGRESS)
    await _alarmed(made, "disk", ("set_disk_free_limit", "10000GB"))
    await made.broker.ctl("set_disk_free_limit", "50MB")
    made.sink.delay = 0.0
    await made.recovers("disk alarm over", PROGRESS)
    return None


async def _alarmed(made: World, what: str, command: Sequence[str]) -> None:
    await made.broker.ctl(*command)
    made.fault(f"{what} alarm")
    # A worker that has tried to publish is blocked by now; acks have a connection of their own.
    await asyncio.sleep(1)
    before, began = (await made.queues())[LANE], time()
    assert before > 50, "nothing was left to acknowledge: this run shows nothing, give it more"
    await made.until(_less(made, before - 20), f"acknowledgements during the {what} alarm", 15)
    made.recoveries.append(Recovery(f"acks during the {what} alarm", time() - began, 15))
    await asyncio.sleep(2)


def _more(made: World, count: int):
    async def more() -> bool:
        return (await made.queues())[LANE] > count

    return more


def _less(made: World, before: int):
    async def less() -> bool:
        return (await made.queues())[LANE] < before

    return less


@scenario(
    8,
    "retry-target-gone",
    "the exchange that retries come back through is gone while they are due",
    "C",
    count=2000,
    mutant="at-most-once-queue_delays",
)
async def retry_target_gone(made: World) -> Expectations | None:
    """RabbitMQ holds what it can't pass on, and tries again: after 180 s, after 4 in this run."""
    await made.start_roles(TIDINGS_EMAIL_CIRCUIT_FAILURES="0")  # else the lane is left to rest
    manage = made.broker.management
    made.sink.refuse_all = True
    await made.publish(made.options.count, PLAIN)
    await made.until(_waiting(made, made.options.count // 2), "messages in the retry queues", 40)
    await manage.call("DELETE", f"exchanges/{quote(manage.vhost, safe='')}/{EXCHANGE}")
    made.fault("exchange deleted")
    made.sink.refuse_all = False
    await asyncio.sleep(5)
    applied = await made.tidings("topology", "apply")
    assert applied.code == 0, applied.err
    await made.recovers("exchange restored")
    return Expectations(duplicates=0)


def _waiting(made: World, count: int):
    async def waiting() -> bool:
        return sum(n for name, n in (await made.queues()).items() if ".retry." in name) >= count

    return waiting


@scenario(
    9,
    "consumer-cancelled",
    "RabbitMQ cancels consumers: their lanes are deleted",
    "P, C",
    count=1500,
    mutant="no-redeclare",
)
async def consumer_cancelled(made: World) -> Expectations | None:
    """Lanes that are empty go and come back; what is published then is delivered."""
    await made.start_roles()
    manage = made.broker.management
    urgent = "tidings.email.urgent"
    async with made.publishing(made.writer(USUAL).items(made.options.count // 2)):
        await made.recovers("start")
        for _ in range(2):
            await manage.delete_queue(urgent)
            began = time()
            made.fault("lane deleted")
            await made.until(_consumed(made, urgent, 2), f"consumers on {urgent}", 30)
            made.recoveries.append(Recovery("lane deleted", time() - began, 20))
    await made.broker.settle()
    rest = made.writer(USUAL, "urgent").items(made.options.count // 2)
    await made.load.publish(rest)
    await made.recovers("the lane is back")
    return Expectations(duplicates=0)


def _consumed(made: World, queue: str, consumers: int):
    async def consumed() -> bool:
        found = await made.broker.management.call(
            "GET",
            f"queues/{quote(made.broker.vhost, safe='')}/{queue}",
            missing_ok=True,
        )
        return found is not None and found.get("consumers", 0) >= consumers

    return consumed


@scenario(
    10,
    "ack-timeout",
    "a send outlasts the time that RabbitMQ waits for an acknowledgement",
    "D = 0, C",
    count=1000,
    mutant="no-lease",
)
async def ack_timeout(made: World) -> Expectations | None:
    """The channel is closed and the message handed out again while its send goes on."""
    await made.broker.evaluate("application:set_env(rabbit, channel_tick_interval, 500).")
    await made.broker.evaluate("application:set_env(rabbit, consumer_timeout, 2000).")
    try:
        await made.start_roles(TIDINGS_EMAIL_SEND_TIMEOUT="12s")
        made.sink.delay = 5
        async with made.publishing(made.writer(PLAIN).items(made.options.count)):
            await made.until(_closed(made), "a channel that is closed for want of an ack", 40)
            made.fault("ack timeout")
            await asyncio.sleep(4)
            made.sink.delay = 0.0
        await made.recovers("ack timeout")
    finally:
        await made.broker.evaluate("application:set_env(rabbit, consumer_timeout, 1800000).")
        await made.broker.evaluate("application:set_env(rabbit, channel_tick_interval, 60000).")
    return Expectations(duplicates=0)


def _closed(made: World):
    def closed() -> bool:
        return any("consumer lost" in worker.last_words(200_000) for worker in made.workers)

    return closed
