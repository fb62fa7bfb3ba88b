"""Schedules on PostgreSQL: a run is stored once, whoever dies and however many run."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.conftest import fresh_database
from tests.support.ledger_rig import LedgerRig, settings_of

from tidings.delivery.attempt import Attempt
from tidings.delivery.errors import LedgerUnavailable, Refused
from tidings.delivery.schedule import Misfire, Timing
from tidings.ledger.database import PostgresDatabase
from tidings.ledger.schedules.rows import Schedule, ScheduleState
from tidings.ledger.schedules.running import TAKE, Run, Running, RunOtherwise, store
from tidings.ledger.schedules.schedules import NameTaken, NewSchedule, Schedules

EMAIL: dict[str, Any] = {"channel": "email", "subject": "Hello", "body": "How are you?"}
THREE = ("ada@example.com", "bob@example.com", "cleo@example.com")
FAR = (datetime.now(UTC).minute + 30) % 60
"""A minute of the hour that is not near while these tests run."""
HOURLY = Timing(f"{FAR} * * * *", "Europe/Berlin")


@pytest.fixture
async def ledger(ledger_alone: LedgerRig) -> LedgerRig:
    await ledger_alone.execute("TRUNCATE schedules, operator_actions")
    return ledger_alone


def never(_: Attempt) -> datetime | None:
    return None


def new(name: str = "report", **fields: Any) -> NewSchedule:
    values: dict[str, Any] = {
        "tenant": "default",
        "name": name,
        "timezone": "Europe/Berlin",
        "timing": HOURLY,
        "misfire": Misfire.SEND_ONCE,
        "content": EMAIL,
        "recipients": THREE,
        **fields,
    }
    return NewSchedule(**values)


async def made(ledger: LedgerRig, name: str = "report", **fields: Any) -> Schedule:
    return await Schedules(ledger.database).create(new(name, **fields), actor="cli jane")


async def falls_due(ledger: LedgerRig, ago: float = 1.0) -> None:
    await ledger.execute(
        "UPDATE schedules SET next_run_at = now() - $1 * interval '1 second' WHERE state = 'active'",
        ago,
    )


async def runs(ledger: LedgerRig) -> list[Run]:
    running, found = Running(ledger.database), []
    while (run := await running.run_next(never)) is not None:
        found.append(run)
    return found


async def found(ledger: LedgerRig, name: str = "report") -> Schedule:
    return await Schedules(ledger.database).find(name)


async def stored(ledger: LedgerRig) -> list[dict[str, Any]]:
    return await ledger.fetch("SELECT * FROM notifications ORDER BY dispatch_at")


async def test_a_run_leaves_its_notifications_to_the_outbox_and_moves_on(
    ledger: LedgerRig,
) -> None:
    created = await made(ledger)
    assert await runs(ledger) == []
    await falls_due(ledger)
    [run] = await runs(ledger)
    assert (run.notifications, run.decision.late, run.error) == (3, False, "")
    rows = await stored(ledger)
    assert [row["recipient"] for row in rows] == list(THREE)
    assert {(row["state"], row["producer"]) for row in rows} == {("queued", "schedule report")}
    schedule = await found(ledger)
    assert (schedule.runs, schedule.skipped) == (1, 0)
    assert schedule.next_run_at is not None
    assert created.next_run_at is not None
    assert timedelta() < schedule.next_run_at - datetime.now(UTC) <= timedelta(hours=1)
    assert schedule.last_run is not None
    assert schedule.last_run["notifications"] == 3
    entries = await ledger.outbox.take(10, actor="scheduler")
    assert {entry.number for entry in entries} == {1}


async def test_what_is_due_is_found_by_its_time(ledger: LedgerRig) -> None:
    async with ledger.database.transaction() as connection:
        await connection.execute("SET LOCAL enable_seqscan = off")
        rows = await connection.fetch(f"EXPLAIN {TAKE}", [])
    plan = "\n".join(row[0] for row in rows)
    assert "Index Cond: (next_run_at <=" in plan, plan


async def test_missed_runs_are_one_or_none(ledger: LedgerRig) -> None:
    await made(ledger, "once")
    await made(ledger, "skips", misfire=Misfire.SKIP)
    await falls_due(ledger, ago=7 * 3600)
    assert {run.schedule.name: run.notifications for run in await runs(ledger)} == {
        "once": 3,
        "skips": 0,
    }
    once, skips = await found(ledger, "once"), await found(ledger, "skips")
    assert (once.runs, skips.runs) == (1, 0)
    assert once.last_run is not None
    assert once.last_run["late"]
    assert skips.skipped >= 7
    assert once.skipped == skips.skipped - 1


async def test_it_ends_after_its_runs(ledger: LedgerRig) -> None:
    timing = Timing(f"{FAR} * * * *", "UTC", max_runs=2)
    await made(ledger, timing=timing)
    for _ in range(3):
        await falls_due(ledger)
        await runs(ledger)
    schedule = await found(ledger)
    assert (schedule.state, schedule.runs, schedule.next_run_at) == (ScheduleState.ENDED, 2, None)
    assert len(await stored(ledger)) == 6


async def test_what_passes_while_it_is_paused_is_not_made_up_for(ledger: LedgerRig) -> None:
    schedule = await made(ledger)
    schedules = Schedules(ledger.database)
    paused = await schedules.pause(schedule.id, actor="cli jane", note="wait")
    assert (paused.state, paused.next_run_at) == (ScheduleState.PAUSED, None)
    assert await runs(ledger) == []
    resumed = await schedules.resume(schedule.id, actor="cli jane", note="go on")
    assert resumed.next_run_at is not None
    assert resumed.next_run_at > datetime.now(UTC)
    assert await stored(ledger) == []
    with pytest.raises(Refused, match="can't be resumed: it is active"):
        await schedules.resume(schedule.id, actor="cli jane", note="")
    actions = await ledger.fetch("SELECT action, actor, note FROM operator_actions ORDER BY id")
    assert [(row["action"], row["note"]) for row in actions] == [
        ("create schedule", ""),
        ("pause schedule", "wait"),
        ("resume schedule", "go on"),
    ]


async def test_a_run_by_hand_repeated_with_its_key_sends_nothing_more(ledger: LedgerRig) -> None:
    schedule = await made(ledger)
    values: dict[str, Any] = {"expires_at": never, "data": None, "actor": "cli jane"}

    async def run(key: str, recipients: tuple[str, ...] | None = None) -> list[Any]:
        ids = await Schedules(ledger.database).run(
            schedule.id, run=key, at=schedule.created_at, recipients=recipients, **values
        )
        return list(ids)

    first = await run("a")
    assert await run("a") == first
    assert len(await stored(ledger)) == 3
    assert not {*first} & {*await run("b", ("dora@example.com",))}
    with pytest.raises(RunOtherwise):
        await run("a", ("eve@example.com",))
    assert len(await stored(ledger)) == 4
    assert (await found(ledger)).runs == 0


async def test_deleting_forgets_whom_it_was_for_and_frees_its_name(ledger: LedgerRig) -> None:
    schedule = await made(ledger)
    with pytest.raises(NameTaken):
        await made(ledger)
    await made(ledger, tenant="acme")
    await Schedules(ledger.database).delete(schedule.id, actor="cli jane", note="")
    [row] = await ledger.fetch("SELECT * FROM schedules WHERE id = $1", schedule.id)
    assert (row["state"], row["recipients"], row["content"]) == ("deleted", "[]", "{}")
    with pytest.raises(Refused, match="there is no schedule"):
        await Schedules(ledger.database).find(str(schedule.id))
    assert await made(ledger)


async def test_another_tenants_is_not_there(ledger: LedgerRig) -> None:
    schedule = await made(ledger, tenant="acme")
    schedules = Schedules(ledger.database)
    for reference in ("report", str(schedule.id)):
        with pytest.raises(Refused, match="there is no schedule"):
            await schedules.find(reference, "umbrella")
        assert await schedules.find(reference, "acme") == schedule
    assert await schedules.list(10, tenant="umbrella") == []
    await made(ledger, tenant="umbrella")
    with pytest.raises(Refused, match="several tenants"):
        await schedules.find("report")


async def test_one_that_can_t_run_says_why_and_holds_up_no_other(ledger: LedgerRig) -> None:
    await made(ledger, "broken", content={"channel": "email", "body": "no subject"})
    await made(ledger, "works")
    await falls_due(ledger)
    results = {run.schedule.name: run.error for run in await runs(ledger)}
    assert results["works"] == ""
    assert "subject" in results["broken"]
    broken = await found(ledger, "broken")
    assert broken.last_run is not None
    assert "subject" in broken.last_run["error"]
    assert len(await stored(ledger)) == 3


async def test_an_unexpected_error_in_one_holds_up_no_other(ledger: LedgerRig) -> None:
    def expires_at(attempt: Attempt) -> datetime | None:
        if attempt.producer == "schedule broken":
            raise RecursionError("deep")
        return None

    await made(ledger, "broken")
    await made(ledger, "works")
    await falls_due(ledger)
    running = Running(ledger.database)
    results = {
        run.schedule.name: run.error
        for run in [await running.run_next(expires_at) for _ in "12"]
        if run
    }
    assert results == {"broken": "unexpected error: the scheduler's log has it", "works": ""}
    assert len(await stored(ledger)) == 3


async def test_one_whose_run_times_out_is_postponed(
    ledger: LedgerRig, emptied_database_url: str
) -> None:
    slow, _ = await made(ledger, "slow"), await made(ledger, "works")
    await falls_due(ledger)
    await ledger.execute(
        "UPDATE schedules SET next_run_at = next_run_at - interval '1 s' WHERE name = 'slow'"
    )
    due = (await found(ledger, "slow")).next_run_at
    assert due is not None
    async with PostgresDatabase(
        settings_of(emptied_database_url, database_timeout=0.3)
    ) as database:
        running = Running(database)
        async with ledger.database.transaction() as connection:
            await store(connection, slow, due.isoformat(), due, due, never)  # its ids are taken
            with pytest.raises(LedgerUnavailable):
                await running.run_next(never)
            works = await running.run_next(never)
            assert works is not None
            assert works.schedule.name == "works"
            assert await running.run_next(never) is None
            seconds = await running.seconds_to_next()
    assert seconds is not None
    assert seconds > 60


async def test_one_whose_zone_is_gone_ends_and_says_so(ledger: LedgerRig) -> None:
    await made(ledger, "lost")
    await made(ledger, "works")
    await falls_due(ledger)
    await ledger.execute("UPDATE schedules SET timezone = 'Mars/Olympus' WHERE name = 'lost'")
    results = {run.schedule.name: run.error for run in await runs(ledger)}
    assert results["works"] == ""
    assert "Mars/Olympus" in results["lost"]
    assert (await found(ledger, "lost")).state is ScheduleState.ENDED


@pytest.mark.parametrize("schedulers", [2, 5])
async def test_several_schedulers_at_once_store_each_run_once(
    ledger: LedgerRig, schedulers: int, emptied_database_url: str
) -> None:
    for number in range(40):
        await made(ledger, f"schedule-{number}")
    await falls_due(ledger)

    async def drain() -> int:
        async with PostgresDatabase(settings_of(emptied_database_url)) as database:
            running, count = Running(database), 0
            while await running.run_next(never) is not None:
                count += 1
            return count

    counts = await asyncio.gather(*(drain() for _ in range(schedulers)))
    assert sum(counts) == 40
    assert len(await stored(ledger)) == 120
    assert {row["runs"] for row in await ledger.fetch("SELECT runs FROM schedules")} == {1}


async def test_a_time_computed_again_after_a_restore_stores_nothing_twice(
    ledger: LedgerRig,
) -> None:
    await made(ledger)
    await falls_due(ledger)
    [before] = await ledger.fetch("SELECT next_run_at FROM schedules")
    await runs(ledger)
    await ledger.execute("UPDATE schedules SET next_run_at = $1", before["next_run_at"])
    await runs(ledger)
    assert len(await stored(ledger)) == 3


STEPS = ["take", "savepoint", "insert", "move on", "notify", "before commit", "after commit"]
"""At which a scheduler is killed: after the statements of a run, and around its commit."""


class DyingConnection:
    """Kills its process after so many statements."""

    def __init__(self, connection: Any, left: list[int]) -> None:
        self._connection = connection
        self._left = left

    def __getattr__(self, name: str) -> Any:
        work = getattr(self._connection, name)
        if name not in {"fetchrow", "execute", "transaction"}:
            return work
        if name == "transaction":
            die(self._left)
            return work

        async def counted(*arguments: Any) -> Any:
            result = await work(*arguments)
            die(self._left)
            return result

        return counted


class DyingDatabase(PostgresDatabase):
    """Kills its process at a step."""

    def __init__(self, url: str, step: int) -> None:
        super().__init__(settings_of(url))
        self._left = [step]

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        async with super().transaction() as connection:
            yield DyingConnection(connection, self._left)
            die(self._left)
        die(self._left)


def die(left: list[int]) -> None:
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1


@pytest.fixture
def dying_url(postgresql_url: str, migrated_template: str) -> Iterator[str]:
    with fresh_database(postgresql_url, template=migrated_template) as url:
        yield url


def test_a_scheduler_killed_between_any_two_steps_loses_and_repeats_nothing(
    dying_url: str,
) -> None:
    async def prepare(name: str) -> None:
        async with PostgresDatabase(settings_of(dying_url)) as database:
            rig = LedgerRig(database)
            await made(rig, name)
            await falls_due(rig)

    async def run(step: int) -> None:
        async with DyingDatabase(dying_url, step) as database:
            await Running(database).run_next(never)

    async def finish(name: str) -> tuple[int, int]:
        async with PostgresDatabase(settings_of(dying_url)) as database:
            rig = LedgerRig(database)
            await runs(rig)
            [row] = await rig.fetch(
                "SELECT count(*) AS count FROM notifications WHERE producer = $1",
                f"schedule {name}",
            )
            return (await found(rig, name)).runs, row["count"]

    for step, name in enumerate(step.replace(" ", "-") for step in STEPS):
        asyncio.run(prepare(name))
        if (process := os.fork()) == 0:
            asyncio.run(run(step))
            os._exit(0)
        _, status = os.waitpid(process, 0)
        assert os.WTERMSIG(status) == signal.SIGKILL, f"it was not killed at {name!r}"
        assert asyncio.run(finish(name)) == (1, 3), name
