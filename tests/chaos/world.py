"""One installation under fire: servers, roles, sink and producers, and the means to break each."""

import asyncio
import json
import random
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import time
from typing import Final

import asyncpg
from tests.chaos.evidence import Evidence, Fault, Recovery, gather, looking
from tests.chaos.load import USUAL, Item, Load, Writer
from tests.chaos.roles import Role, program
from tests.chaos.servers import Broker, Servers, readable
from tests.chaos.sink import Sink
from tests.support import forked
from tests.support.processes import Finished, tidings
from tests.support.relay import Relay

LANE: Final = "tidings.email.normal"
PROGRESS: Final = 20.0
"""Seconds after a fault has healed within which something has to be delivered again: a lease, and
the longest wait of a worker before it tries the broker and the database again."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a scenario is run."""

    count: int
    seed: int
    folder: Path
    """For everything that is needed to look at a failing run."""
    mutant: str | None = None
    workers: int = 2
    seconds: float = 60.0
    """How long a run lasts that has no end of its own."""
    kills: int = 20
    patience: float = 1.0
    """How much longer everything may take, on a machine that is busy with other things."""
    forks: bool = False
    """Start roles as forks: see roles.py."""


@dataclass
class World:
    """What a scenario acts on. Use `world(…)`."""

    options: Options
    servers: Servers
    broker: Broker
    database_url: str
    sink: Sink
    relays: dict[str, Relay]
    load: Load
    random: random.Random
    env: dict[str, str]
    roles: list[Role] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    recoveries: list[Recovery] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What the report should say of this run."""

    @property
    def workers(self) -> list[Role]:
        """The roles that deliver."""
        return [role for role in self.roles if role.name.startswith("worker")]

    def role(self, name: str) -> Role:
        """One of them."""
        return next(role for role in self.roles if role.name == name)

    # ---------------------------------------------------------------- load

    def writer(self, mix: dict[str, int] = USUAL, *priorities: str) -> Writer:
        """A writer that writes the same for the same seed."""
        return Writer(self.random.getrandbits(32), mix, priorities or ("normal",))

    async def publish(
        self, count: int, mix: dict[str, int] = USUAL, *, rate: float | None = None
    ) -> None:
        """Publish so many and wait for their confirms."""
        await self.load.publish(self.writer(mix).items(count), rate)

    @asynccontextmanager
    async def publishing(
        self, items: Iterator[Item] | None = None, *, rate: float | None = None
    ) -> AsyncIterator[asyncio.Task[None]]:
        """Everything that was asked for, while something else happens; confirmed at the end."""
        wanted = self.writer().items(self.options.count) if items is None else items
        task = asyncio.create_task(self.load.publish(wanted, rate))
        try:
            yield task
        except BaseException:
            task.cancel()
            raise
        await task

    # ---------------------------------------------------------------- roles

    async def add(self, name: str, *arguments: str, ready: bool = True, **extra: str) -> Role:
        """Start a role."""
        role = self.prepared(name, *arguments, **extra)
        await role.start()
        if ready:
            await role.ready()
        return role

    def prepared(self, name: str, *arguments: str, **extra: str) -> Role:
        """A role that is not started yet."""
        role = Role(
            name,
            arguments or (name.partition("-")[0],),
            {**self.env, **extra},
            self.options.folder,
            mutant=self.options.mutant,
            forks=self.options.forks,
        )
        self.roles.append(role)
        return role

    async def start_roles(self, workers: int | None = None, **extra: str) -> None:
        """So many workers, an archive, a scheduler; ready."""
        number = self.options.workers if workers is None else workers
        names = [*(f"worker-{it}" for it in range(number)), "archive", "scheduler"]
        for name in names:
            await self.add(name, ready=False, **extra)
        await asyncio.gather(*(role.ready() for role in self.roles if role.name in names))

    async def tidings(self, *arguments: str, within: float = 120) -> Finished:
        """Run a command."""
        if self.options.mutant is None:
            return await forked.tidings(*arguments, env=self.env, within=within)
        started = program(self.options.mutant)
        return await tidings(*arguments, env=self.env, within=within, program=started)

    # ---------------------------------------------------------------- faults

    async def kill_worker(self, role: Role) -> None:
        """SIGKILL a worker, and start it again."""
        await role.kill()
        await self.noted_death(role, "worker killed")
        await role.start()

    async def noted_death(self, role: Role, kind: str) -> None:
        """Write down what a worker that has just died had in flight."""
        pid = role.pid
        in_flight = await self.in_flight(f"%:{pid}:%")
        self.faults.append(Fault(kind, time(), in_flight))

    async def in_flight(self, holder: str = "%") -> int:
        """Claimed and not recorded, by holders of such a name."""
        rows = await self.fetch(
            "SELECT count(*) AS n FROM notifications WHERE state = 'sending' AND lease_holder LIKE $1 "
            # Among a million, by the index. A worker whose clock is an hour slow says it took them then.
            "AND accepted_at NOT BETWEEN now() - interval '50 minutes' AND now() - interval '5 minutes'",
            holder,
        )
        return int(rows[0]["n"])

    def fault(self, kind: str, in_flight: int = 0) -> None:
        """Write down a fault after which nothing may come twice, unless said otherwise."""
        self.faults.append(Fault(kind, time(), in_flight))

    async def kill_postgresql(self, down: float = 0.0) -> None:
        """SIGKILL the database, and start it again after so many seconds."""
        postgresql = self.servers.postgresql
        await asyncio.to_thread(postgresql.kill)
        await asyncio.sleep(down)
        await asyncio.to_thread(postgresql.start)
        self.fault("PostgreSQL killed", await self.in_flight())

    async def kill_broker(self, down: float = 0.0) -> None:
        """SIGKILL the RabbitMQ, and start it again after so many seconds."""
        await self.broker.kill()
        self.fault("RabbitMQ killed")
        await asyncio.sleep(down)
        await self.broker.revive()

    async def recovers(self, after: str, limit: float = PROGRESS) -> None:
        """Wait until something is delivered again, which has to happen in time."""
        limit *= self.options.patience
        before, began = self.sink.total, time()
        while self.sink.total == before and time() - began < limit + 5:
            if self.load.confirmed and await self.nothing_left():
                return
            await asyncio.sleep(0.05)
        self.recoveries.append(Recovery(after, time() - began, limit))

    # ---------------------------------------------------------------- looking

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """Ask the database, however long it takes to come back."""
        deadline = time() + 60
        while True:
            try:
                connection = await looking(self.database_url)
                try:
                    return list(await connection.fetch(query, *arguments))
                finally:
                    await connection.close(timeout=5)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                if time() > deadline:
                    raise
                await asyncio.sleep(0.2)

    async def delivered(self, count: int, within: float = 120) -> None:
        """Wait until the sink has taken so many."""
        await self.until(lambda: self.sink.total >= count, f"{count} deliveries", within)

    async def until(
        self, condition: Callable[[], bool | Awaitable[bool]], what: str, within: float = 60
    ) -> None:
        """Wait until something is true.

        Raises:
            AssertionError: It was not, in time.
        """
        within *= self.options.patience
        deadline = time() + within
        while True:
            result = condition()
            if result if isinstance(result, bool) else await result:
                return
            assert time() < deadline, f"not within {within:g} s: {what}"
            await asyncio.sleep(0.05)

    async def queues(self) -> dict[str, int]:
        """How much every queue holds, acknowledged or not."""
        rows = await self.broker.queues()
        return {str(row["name"]): int(row.get("messages", 0)) for row in rows}

    async def nothing_left(self) -> bool:
        """Whether every queue is empty and every notification has ended."""
        if any((await self.queues()).values()):
            return False
        rows = await self.fetch(
            "SELECT EXISTS (SELECT FROM notifications WHERE finished_at IS NULL) AS left"
        )
        return not rows[0]["left"]

    async def drained(self, within: float) -> None:
        """Wait until nothing is left, and has been for a moment; the checker tells what is otherwise."""
        within *= self.options.patience
        deadline, quiet = time() + within, 0
        while time() < deadline and quiet < 3:
            try:
                quiet = quiet + 1 if await self.nothing_left() else 0
            except Exception as error:  # noqa: BLE001  # a broker that is coming back: look again
                self.notes.append(f"while draining: {error!r}"[:200])
                quiet = 0
            await asyncio.sleep(0.4)
        if quiet < 3:
            self.notes.append(f"not drained within {within:g} s")

    async def stop_roles(self) -> None:
        """SIGTERM everything; each has to end with 0."""
        for role in self.roles:
            role.signal(signal.SIGCONT)
            role.signal(signal.SIGTERM)
        for role in self.roles:
            if role.running and (code := await role.ended()) != 0:
                self.notes.append(f"{role.name} ended with {code}")

    async def evidence(self) -> Evidence:
        """All that is known at the end."""
        self.load.flush()
        self.sink.flush()
        return await gather(
            self.load.journal,
            self.options.folder / "sink.log",
            self.database_url,
            await self.queues(),
            self.faults,
            self.recoveries,
            {role.name: (role.peak, role.allowed) for role in self.roles},
        )

    async def keep(self) -> None:
        """Put what is needed to look at this run into its folder, beside journal and logs."""
        folder = self.options.folder
        (folder / "faults.json").write_text(
            json.dumps([[it.kind, it.at, it.in_flight] for it in self.faults], indent=1)
        )
        (folder / "queues.json").write_text(readable(await self.broker.queues()))
        for node in self.broker.nodes:
            shutil.copy(node.log, folder / f"rabbitmq-{node.amqp_port}.log")
        shutil.copy(self.servers.postgresql.log, folder / "postgresql.log")
        connection = await looking(self.database_url)
        try:
            for table in ("notifications", "attempts", "transitions", "dead_letters"):
                await connection.copy_from_query(  # COPY knows no partitioned table
                    f"TABLE {table}",
                    output=str(folder / f"{table}.csv"),
                    format="csv",
                    header=True,
                )
        finally:
            await connection.close()
