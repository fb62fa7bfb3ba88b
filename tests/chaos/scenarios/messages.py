"""Faults of messages and of time: poison, lost replies, changed settings, races, clocks that jump."""

import asyncio
import json
import random
import signal
from collections import Counter
from datetime import UTC, datetime, timedelta
from time import time
from typing import Any, Final
from uuid import UUID, uuid4

import aio_pika
from tests.chaos import mutants
from tests.chaos.clock import skewed
from tests.chaos.load import MAIL_LOST, PLAIN, TEXTS, USUAL, Item, Writer
from tests.chaos.roles import program
from tests.chaos.scenario import scenario
from tests.chaos.verdict import USUAL_END, Expectations
from tests.chaos.world import World
from tests.support.processes import environment

from tidings.delivery.errors import Refused
from tidings.ledger import PostgresLedger
from tidings.settings import LedgerSettings

MIB: Final = 1024 * 1024
YEAR: Final = 400 * 86_400
"""Seconds: what was accepted by a right clock is from the far future for one that is so late."""


@scenario(
    13,
    "poison-and-oversize",
    "messages that can't be read, or are far too large, among good ones",
    "C, neighbours progress",
    count=2000,
    mutant="malformed-dropped",
)
async def poison_and_oversize(made: World) -> Expectations | None:
    """Each becomes a dead letter with its bytes; the good ones beside them are delivered."""
    await made.start_roles()
    poison = list(_poison(made.random))
    async with made.publishing():
        await _publish_raw(made, poison)
        made.fault(f"{len(poison)} poison messages")
    await made.recovers("poison")
    found = await made.until(_dead_letters(made, len(poison)), "a dead letter for each", 60)
    del found
    rows = await made.fetch("SELECT body FROM dead_letters WHERE reason = 'malformed'")
    kept = Counter(bytes(row["body"]) for row in rows)
    lost = Counter(poison) - kept
    assert not lost, f"{lost.total()} poison messages whose bytes were not kept"
    return Expectations(duplicates=0, dead_letters={"malformed": len(poison)})


def _poison(chance: random.Random) -> Any:
    for number in range(40):
        yield b"\xff\xfe" + chance.randbytes(200)
        yield b'{"id": ' + str(number).encode()
        yield json.dumps({"id": str(UUID(int=chance.getrandbits(128))), "version": 99}).encode()
        yield b"[" * 5000
        yield b""
    for _ in range(2):
        yield b"x" * (16 * MIB)
        yield b'{"id": "' + b"y" * (11 * MIB)


def _dead_letters(made: World, count: int) -> Any:
    async def dead_letters() -> bool:
        rows = await made.fetch("SELECT count(*) AS n FROM dead_letters WHERE reason = 'malformed'")
        return bool(rows[0]["n"] >= count)

    return dead_letters


async def _publish_raw(made: World, bodies: list[bytes]) -> None:
    connection = await aio_pika.connect(made.broker.urls()[0])
    async with connection, connection.channel() as channel:
        exchange = await channel.get_exchange("tidings.notifications", ensure=False)
        for body in bodies:
            kind = random.choice(("application/json", "text/plain", None))
            message = aio_pika.Message(body, content_type=kind, delivery_mode=2)
            await exchange.publish(message, "email.normal", timeout=60)


@scenario(
    15,
    "settings-changed",
    "workers with old and new retry delays together, and a policy set under them",
    "P, C, D = 0",
    count=2000,
    mutant="queue_delays-by-number",
)
async def settings_changed(made: World) -> Expectations | None:
    """Each declares what it needs, and nobody's queues are in anybody's way."""
    await made.add("archive", ready=False)
    await made.add("scheduler", ready=False)
    await made.add("worker-old")
    mix = {**USUAL, "plain": 62, "busy": 30}
    async with made.publishing(made.writer(mix).items(made.options.count), rate=400):
        await made.recovers("start")
        await made.broker.management.set_policy("chaos", "^tidings", {"max-length": 1_000_000})
        made.fault("policy set")
        await made.add("worker-new", TIDINGS_EMAIL_RETRY="1s 3s 5s")
        made.fault("new settings beside old ones")
        await made.recovers("new worker")
        old = made.role("worker-old")
        old.signal(signal.SIGTERM)
        assert await old.ended() == 0
        await made.recovers("old worker gone")
        await old.start()
    await old.ready()
    return Expectations(duplicates=0)


REPLAY: Final = ("replay", "--reason", "exhausted", "--yes")


@scenario(
    16,
    "replay-twice",
    "dead letters are replayed by two at once, one of them killed midway",
    "D = 0, C",
    count=600,
    mutant="replay-without-compare",
)
async def replay_twice(made: World) -> Expectations | None:
    """However often it is asked for, each dead letter is delivered once."""
    await made.start_roles(TIDINGS_EMAIL_CIRCUIT_FAILURES="0")  # else hardly anything is tried
    await made.publish(made.options.count, {"never": 100})
    await made.until(_archived(made, made.options.count), "a dead letter for each", 90)
    made.sink.treatment = lambda who, key: "take"  # type: ignore[method-assign]  # they are well now
    first = asyncio.create_task(_killed_midway(made))
    second = asyncio.create_task(made.tidings(*REPLAY, "--rate", "200/s"))
    await asyncio.gather(first, second)
    made.fault("replay killed")
    third = await made.tidings(*REPLAY)
    made.notes.append(f"the third replay: {third.out.strip().splitlines()[-1:]}")
    await made.until(made.nothing_left, "every message settled", 60)
    rows = await made.fetch("SELECT max(epoch) AS epoch FROM notifications")
    assert rows[0]["epoch"] == 1, f"a dead letter was replayed {rows[0]['epoch']} times"
    return Expectations(ends={**USUAL_END, "never": frozenset({"sent"})}, duplicates=0)


def _archived(made: World, count: int) -> Any:
    async def archived() -> bool:
        rows = await made.fetch("SELECT count(*) AS n FROM dead_letters")
        return bool(rows[0]["n"] >= count)

    return archived


async def _killed_midway(made: World) -> None:
    """A replay that is killed once it has begun to publish."""
    process = await asyncio.create_subprocess_exec(
        *program(made.options.mutant),
        *REPLAY,
        "--rate",
        "200/s",
        env={**environment(), **made.env},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    third = made.options.count // 3
    await made.until(lambda: made.sink.total > third, "replayed ones delivered", 60)
    assert process.returncode is None, "it had ended before it could be killed: this shows nothing"
    process.kill()
    await process.wait()


@scenario(
    17,
    "cancel-races-due-time",
    "scheduled notifications are cancelled as they fall due",
    "sent xor cancelled",
    count=600,
    mutant="cancel-without-compare",
)
async def cancel_races_due_time(made: World) -> Expectations | None:
    """Each is sent or cancelled, never both and never neither, and whoever cancelled knows which."""
    if made.options.mutant is not None:
        mutants.apply(made.options.mutant)
    await made.start_roles()
    due = datetime.now(UTC) + timedelta(seconds=6)
    items = list(_due_at(made, due))
    await made.load.publish(iter(items))
    cancelled: set[str] = set()
    async with PostgresLedger(
        LedgerSettings(database_url=made.database_url), actor="chaos"
    ) as ledger:
        await made.until(lambda: time() > due.timestamp() - 0.3, "nearly due", 20)

        async def cancel(item: Item) -> None:
            await asyncio.sleep(made.random.uniform(0, 0.8))
            try:
                await ledger.changes.cancel(item.id, actor="chaos", reason="a race")
            except Refused:
                return
            cancelled.add(str(item.id))

        await asyncio.gather(*(cancel(item) for item in items))
    made.fault("cancelled in a race")
    await made.until(made.nothing_left, "every message settled", 60)
    made.notes.append(f"{len(cancelled)} of {len(items)} were cancelled in time")
    rows = await made.fetch("SELECT id::text FROM notifications WHERE state = 'cancelled'")
    assert {row["id"] for row in rows} == cancelled, "who cancelled was told otherwise"
    assert 0 < len(cancelled) < len(items), "one side won every race: this run shows nothing"
    return Expectations(duplicates=0)


def _due_at(made: World, due: datetime) -> Any:
    for _ in range(made.options.count):
        id = uuid4()
        body = {
            "id": str(id),
            "version": 1,
            "channel": "email",
            "recipient": f"ok-{id.hex[:12]}@example.com",
            "subject": "Due",
            "body": "now",
            "scheduled_at": due.isoformat(),
        }
        text = json.dumps(body).encode()
        yield Item(id, "scheduled", "email.normal", text, str(due.timestamp()))


@scenario(
    18,
    "reply-lost",
    "a provider takes the message and its reply is lost",
    "unknown, never resent",
    count=1500,
    mutant="unknown-retried",
)
async def reply_lost(made: World) -> Expectations | None:
    """A text message is never sent again unasked; an email is, and marked as possibly a second one."""
    await made.start_roles()
    texts = Writer(made.random.getrandbits(32), TEXTS).items(made.options.count // 2)
    mails = Writer(made.random.getrandbits(32), MAIL_LOST).items(made.options.count // 2)
    async with made.publishing(texts):
        await made.load.publish(mails)
    await made.until(made.nothing_left, "every message settled", 60)
    rows = await made.fetch("SELECT count(*) AS n FROM attempts WHERE possible_duplicate")
    twice = sum(times - 1 for times in made.sink.taken.values())
    made.fault("replies lost", int(rows[0]["n"]))
    assert twice > 0, "no mail came twice: no reply was lost"
    return Expectations(duplicates=int(rows[0]["n"]))


@scenario(
    19,
    "clock-jumps",
    "the clocks of workers jump by an hour in either direction and a year back, and workers are killed",
    "leases still expire",
    count=1500,
    mutant="leases-by-own-clock",
)
async def clock_jumps(made: World) -> Expectations | None:
    """Leases go by PostgreSQL's clock alone: nothing is stolen early, and nothing is kept."""
    await made.add("archive", ready=False)
    await made.add("scheduler", ready=False)
    with skewed(made.options.folder) as clock:
        await made.add("worker-0", ready=False, **clock.env)
        await made.add("worker-1", **clock.env)
        made.sink.delay = 0.05
        async with made.publishing(made.writer(PLAIN).items(made.options.count), rate=200):
            for seconds in (3600, -3600, 86_400, -YEAR, 0):
                await made.recovers("start")
                clock.jump(seconds)
                made.fault("clock jumps")
                await asyncio.sleep(0.5)
                await made.kill_worker(made.random.choice(made.workers))
                await made.recovers("clock jumped, worker killed")
    return None
