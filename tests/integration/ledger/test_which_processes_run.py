"""Each process says that it runs; rows of those long gone are used again, as none is ever deleted."""

import asyncio

from tests.support.ledger_rig import LedgerRig

from tidings.ledger.operators.processes import Process, Processes


def process(actor: str, **fields: object) -> Process:
    return Process(
        **{
            "actor": actor,
            "roles": ["worker"],
            "host": "web-1",
            "pid": 4242,
            "version": "1.0",
            "channels": ["email"],
            "templates": "",
            "retention": None,
            **fields,
        }  # type: ignore[arg-type]  # a test's shorthand
    )


async def test_a_process_that_stopped_saying_so_is_told_from_one_that_ended(
    ledger_alone: LedgerRig,
) -> None:
    processes = Processes(ledger_alone.database)
    for actor in ("runs", "vanished", "ended"):
        await processes.say(process(actor))
    await processes.end("ended")
    await ledger_alone.execute(
        "UPDATE processes SET seen_at = now() - interval '1 minute' WHERE actor = 'vanished'"
    )
    known = {process.actor: process.running for process in await processes.known()}
    assert known == {"runs": True, "vanished": False}
    await processes.say(process("vanished"))
    assert {process.running for process in await processes.known()} == {True}


async def test_rows_of_processes_long_gone_are_used_again_one_by_each_new_one(
    ledger_alone: LedgerRig,
) -> None:
    processes = Processes(ledger_alone.database)
    for number in range(3):
        await processes.say(process(f"old {number}"))
    await ledger_alone.execute("UPDATE processes SET seen_at = now() - interval '2 days'")
    await asyncio.gather(*(processes.say(process(f"new {number}")) for number in range(4)))
    rows = await ledger_alone.fetch("SELECT actor FROM processes")
    assert {row["actor"] for row in rows} == {f"new {number}" for number in range(4)}
