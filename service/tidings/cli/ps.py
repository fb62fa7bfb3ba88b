"""`tidings ps`: which processes run, and which vanished."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from tidings.cli.console import err, out, print_json
from tidings.cli.options import AsJson, ask
from tidings.cli.rows import Row, Rows, cell
from tidings.operations import processes
from tidings.operations.processes import KnownProcess
from tidings.operations.times import ago

GONE: Final = "it did not say that it ended: it was killed, hangs, or can't reach PostgreSQL; nothing it held is lost"


def ps(as_json: AsJson = False) -> None:
    """List the processes that run: roles, host, process id, version, channels.

    Each says so every ten seconds. One that vanished is listed for a day.

    Example: [bold]tidings ps[/]
    """
    known = ask(processes.list_)
    if as_json:
        print_json(known)
    elif known:
        out.print(_table(known))
    else:
        err.print("No process runs. `tidings all` starts worker, scheduler and archive in one.")


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
