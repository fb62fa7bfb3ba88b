"""Faults of what is around a process: whoever reads its log, the disk of its log, its memory, its open files."""

import asyncio
import fcntl
import os
import resource
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Final

import aio_pika
from tests.chaos.disks import full, small_disk
from tests.chaos.load import PLAIN, Item
from tests.chaos.memory import MIB, memory
from tests.chaos.roles import Role
from tests.chaos.scenario import scenario
from tests.chaos.scenarios.receivers import SETTINGS, GoodReceiver, webhooks
from tests.chaos.verdict import Expectations
from tests.chaos.world import World
from tests.support.heavy_bodies import HEAVY

CUTS: Final = 4
"""Times that each connection is cut while nothing can be logged."""
ROLES: Final = ("archive", "scheduler", "worker-0", "worker-1")
POISON: Final = (
    "labels that are lists",
    "objects of one key",
    "objects in objects",
    "texts with an emoji each",
    "unknown fields",
    "attachments of one field",
)
TIMES: Final = 3
ROOM: Final = 256 * MIB
"""Bytes of address space beyond what a process takes that waits: a good deal less than one of these took."""
LIMIT: Final = 512 * MIB
"""Bytes that deploy/compose.yaml lets a process take."""
FLOOD_KILLS: Final = 4
SPARE: Final = 10
"""Descriptors that a worker may open beyond those that it has when it is idle."""
SHORT: Final = "short of resources"


@scenario(
    24,
    "log-reader-gone",
    "the log reader stops reading, then exits",
    "C, P, D = 0",
    count=2000,
    mutant="log-blocks",
)
async def log_reader_gone(made: World) -> Expectations | None:
    """Every role logs into a pipe of a page; nobody empties half of them, the others break."""
    readers: list[int] = []
    try:
        for name in ROLES:
            reading, writing = os.pipe()
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
            readers.append(reading)
            await _logging_to(made, name, writing)
            os.close(writing)
        async with made.publishing(rate=made.options.count / 10):
            await made.recovers("logs that nobody reads")
            made.fault("logs not read")
            for reading in readers[::2]:
                os.close(reading)
            del readers[::2]
            made.fault("log readers gone")
            await made.recovers("log readers gone")
        await made.until(made.nothing_left, "every message settled", 60)
        await made.stop_roles()
    finally:
        for reading in readers:
            os.close(reading)
    return Expectations(duplicates=0)


@scenario(
    25,
    "log-disk-full",
    "the disk of the logs is full while connections are cut, and has room again",
    "C, P",
    count=2000,
    relayed=["amqp", "database"],
    mutant="log-raises",
)
async def log_disk_full(made: World) -> Expectations | None:
    """Lines are lost and nothing else, though there is much to tell; the first that fits again says how many."""
    async with small_disk(made.options.folder / "disk", "64k") as disk:
        logs: list[Path] = []
        for name in ROLES:
            logs.append(disk / f"{name}.log")
            log = os.open(logs[-1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            await _logging_to(made, name, log)
            os.close(log)
        async with made.publishing(rate=made.options.count / 15):
            await made.until(lambda: full(disk), "the disk is full")
            made.fault("disk of the logs full")
            for wire in made.relays.values():
                for _ in range(CUTS):
                    before = await made.in_flight()
                    wire.cut()
                    made.fault("connections cut", before + await made.in_flight())
                    await asyncio.sleep(made.random.uniform(0.2, 1.5))
            await made.recovers("connections cut with the disk of the logs full")
            for role in made.roles:
                await role.ready()
            for log_file in logs:
                os.truncate(log_file, 0)
        event = "log lines dropped"
        await made.until(
            lambda: any(event in file.read_text() for file in logs), "lost lines are told of", 30
        )
        await made.until(made.nothing_left, "every message settled", 60)
        await made.stop_roles()
    return None


async def _logging_to(made: World, name: str, descriptor: int) -> None:
    role = made.prepared(name)
    role.stderr = descriptor
    await role.start(TIDINGS_LOG_LEVEL="info")
    await role.ready()


@scenario(
    26,
    "poison-in-little-memory",
    "messages that are dear to read, among good ones, where memory is limited",
    "C, neighbours progress",
    count=1000,
    mutant="reads-at-once",
)
async def poison_in_little_memory(made: World) -> Expectations | None:
    """Each becomes a dead letter by itself: nobody dies of it, and no neighbour is handed out too often."""
    await made.add("scheduler")
    for name in ("archive", "worker-0"):
        idle = await made.add(name)
        taken = memory(idle.pid, "VmSize")
        await idle.kill()
        idle.address_space = taken + ROOM
        await idle.start()
        await idle.ready()
        made.notes.append(f"{name}: {taken // MIB} MiB idle, at most {(taken + ROOM) // MIB}")
    poison = [HEAVY[name]() for name in POISON] * TIMES
    async with made.publishing(made.writer(PLAIN).items(made.options.count)):
        await _publish_raw(made, poison)
        made.fault(f"{len(poison)} messages that are dear to read")
    await made.recovers("poison")
    await made.until(made.nothing_left, "every message settled", 60)
    for role in made.roles:
        assert len(role.pids) <= 2, f"{role.name} died"
        assert role.running, f"{role.name} died: {role.last_words()}"
    return Expectations(duplicates=0, dead_letters={"malformed": len(poison)})


@scenario(
    32,
    "byte-flood",
    "large mails of one producer amid small ones, where memory is limited, and kills",
    "C, neighbours progress",
    count=160,
    mutant="holds-what-comes",
    patience=180.0,
)
async def byte_flood(made: World) -> Expectations | None:
    """Every second one has the largest attachment. Nobody dies of it, and nothing is handed out too often."""
    await made.add("scheduler")
    await made.add("archive")
    worker = await made.add("worker-0")
    worker.address_space = _beside(worker, LIMIT)
    await made.kill_worker(worker)
    await worker.ready()
    await made.publish(200, PLAIN)  # it asks for many at a time now
    await made.until(made.nothing_left, "small ones settled", 60)
    made.load.tasks = 8  # each holds what it publishes

    async def over() -> bool:
        assert worker.running, f"it died: {worker.last_words()}"
        taken, allowed = worker.peak // MIB, worker.allowed // MIB
        assert taken <= allowed, f"{taken} MiB, where {allowed} are stated"
        return await made.nothing_left()

    async with made.publishing(_flood(made)):
        made.fault("a flood of bytes")
        for _ in range(FLOOD_KILLS):
            await asyncio.sleep(made.random.uniform(3, 6))
            await over()
            await made.kill_worker(worker)
            await worker.ready()
    await made.until(over, "every message settled", 300)
    return None


def _flood(made: World) -> Iterator[Item]:
    """Mails with a file of 7 MiB and mails without, in turn."""
    content = b64encode(made.random.randbytes(7 * MIB))
    file = b'"attachments":[{"filename":"a.bin","content":"%b"}],"id":' % content
    for number, item in enumerate(made.writer(PLAIN).items(made.options.count)):
        large = item.body.replace(b'"id":', file, 1) if number % 2 else item.body
        yield replace(item, body=large)


@scenario(
    34,
    "open-files-run-out",
    "a worker may open hardly any files under a load of connections, and then may again",
    "C, D = 0, no attempt spent",
    count=600,
    mutant="own-want-counts",
)
async def open_files_run_out(made: World) -> Expectations | None:
    """It is the process's own want: no provider, receiver or notification pays for it."""
    made.env |= SETTINGS
    await made.start_roles(workers=1)
    worker, half = made.workers[0], made.options.count // 2
    made.sink.delay = 0.3  # so that it wants as many connections as it is allowed
    limits = resource.prlimit(worker.pid, resource.RLIMIT_NOFILE)
    async with GoodReceiver(made.sink).listening() as good:
        most = _open_files(worker) + SPARE
        _may_open(worker, most, limits)
        made.fault("no more open files")
        hooks = islice(webhooks(made, "hook", good.urls), half)
        async with made.publishing(chain(made.writer(PLAIN).items(half), hooks)):
            await made.until(lambda: _open_files(worker) >= most, "no file can be opened", 30)
            await asyncio.sleep(made.random.uniform(3, 4))
            _may_open(worker, limits[0], limits)
        made.sink.delay = 0.0
        await made.recovers("files may be opened again")
        await made.until(made.nothing_left, "every message settled", 60)
    rows = await made.fetch("SELECT count(*) AS n FROM attempts")
    spent = rows[0]["n"] - half * 2
    assert not spent, f"{spent} attempts were spent for want of our own open files"
    logged = worker.log.read_text()
    assert logged.count(SHORT) > 1, "hardly any connection was refused: this run shows nothing"
    return Expectations(
        ends={"plain": frozenset({"sent"}), "hook": frozenset({"sent"})}, duplicates=0
    )


def _open_files(role: Role) -> int:
    return len(list(Path(f"/proc/{role.pid}/fd").iterdir()))


def _may_open(role: Role, most: int, limits: tuple[int, int]) -> None:
    resource.prlimit(role.pid, resource.RLIMIT_NOFILE, (most, limits[1]))


def _beside(idle: Role, limit: int) -> int:
    """Bytes of address space that let a process like this one take so much memory."""
    return memory(idle.pid, "VmSize") + limit - memory(idle.pid, "VmRSS")


async def _publish_raw(made: World, bodies: list[bytes]) -> None:
    connection = await aio_pika.connect(made.broker.urls()[0])
    async with connection, connection.channel() as channel:
        exchange = await channel.get_exchange("tidings.notifications", ensure=False)
        for body in bodies:
            message = aio_pika.Message(body, content_type="application/json", delivery_mode=2)
            await exchange.publish(message, "email.normal", timeout=60)
