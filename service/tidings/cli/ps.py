"""`tidings ps`: the processes that run or disappeared."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from tidings.cli.console import err, out, print_all_as_json
from tidings.cli.options import AsJson, ask
from tidings.cli.rows import Row, Rows, cell
from tidings.operations import processes
from tidings.operations.processes import KnownProcess
from tidings.operations.times import ago

GONE: Final = (
    "no heartbeat: it was killed, hangs, or can't reach PostgreSQL; its messages are not lost"
)


def ps(as_json: AsJson = False) -> None:
    """List the running Tidings processes.

    Each process sends a heartbeat to PostgreSQL every ten seconds. A process that disappears stays listed for a day.

    Example: [bold]tidings ps[/]
    """
    known = ask(processes.list_)
    if as_json:
        print_all_as_json(known)
    elif known:
        out.print(_table(known))
    else:
        err.print(
            "No processes are running. `tidings all` starts worker, scheduler and archive in one process."
        )


def _table(known: Sequence[KnownProcess]) -> Rows:
    now = datetime.now(UTC)
    names = ("Process", "Roles", "Version", "Since", "Seen", "Channels")
    return Rows(names, [_row(process, now) for process in known])


def _row(process: KnownProcess, now: datetime) -> Row:
    cells = (
        cell(f"{process.host}:{process.pid}", "" if process.running else "red"),
        cell(" ".join(process.roles)),
        cell(process.version),
        cell(ago(process.since, now)),
        cell(ago(process.seen_at, now), "" if process.running else "red"),
        cell(" ".join(process.channels)),
    )
    return Row(cells, "" if process.running else GONE)
