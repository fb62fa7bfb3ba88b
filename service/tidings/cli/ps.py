"""`tidings ps`: which processes run, and which vanished."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final

from tidings.cli.console import err, out, print_json, run
from tidings.cli.options import AsJson, open_ledger
from tidings.cli.rows import Row, Rows, cell
from tidings.delivery.errors import TidingsError
from tidings.ledger.operators.processes import KnownProcess
from tidings.operations.times import ago
from tidings.settings import Settings

PATIENCE: Final = 2.0
"""Seconds that PostgreSQL has to answer where its answer only adds a hint."""
GONE: Final = "it did not say that it ended: it was killed, hangs, or can't reach PostgreSQL; nothing it held is lost"


def ps(as_json: AsJson = False) -> None:
    """List the processes that run: roles, host, process id, version, channels.

    Each says so every ten seconds. One that vanished is listed for a day.

    Example: [bold]tidings ps[/]
    """
    known = run(_known(Settings()))
    if as_json:
        print_json([asdict(one) for one in known])
    elif known:
        out.print(_table(known))
    else:
        err.print("No process runs. `tidings all` starts worker, scheduler and archive in one.")


async def _known(settings: Settings) -> Sequence[KnownProcess]:
    async with open_ledger(settings) as ledger:
        return await ledger.processes.known()


def _table(known: Sequence[KnownProcess]) -> Rows:
    now = datetime.now(UTC)
    names = ("Process", "Roles", "Version", "Since", "Seen", "Channels")
    return Rows(names, [_row(one, now) for one in known])


def _row(one: KnownProcess, now: datetime) -> Row:
    cells = (
        cell(f"{one.host}:{one.pid}", "" if one.running else "red"),
        cell(" ".join(one.roles)),
        cell(one.version),
        cell(ago(one.since, now)),
        cell(ago(one.seen_at, now), "" if one.running else "red"),
        cell(" ".join(one.channels)),
    )
    return Row(cells, "" if one.running else GONE)


async def holding_other_templates(settings: Settings, digest: str) -> Sequence[KnownProcess]:
    """The workers that run and have read other templates than these; none where PostgreSQL can't be asked."""
    with suppress(TidingsError, TimeoutError):
        async with asyncio.timeout(PATIENCE):
            known = await _known(settings)
            return [one for one in known if one.running and one.templates not in {"", digest}]
    return []


def told_of_other_templates(holding: Sequence[KnownProcess]) -> str:
    """A hint for people; empty where there is nothing to tell."""
    if not holding:
        return ""
    where = ", ".join(f"{one.host}:{one.pid}" for one in holding)
    return f"workers hold other templates than these, as they read them when they start: {where}"
