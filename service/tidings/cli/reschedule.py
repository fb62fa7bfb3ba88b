"""`tidings reschedule`: gives a scheduled notification another due time."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from tidings.cli import drafts
from tidings.cli.console import out, print_json
from tidings.cli.options import AsJson, NotificationId, actor, ask
from tidings.operations import rescheduling
from tidings.operations.times import distance, exact


def reschedule(
    id: NotificationId,
    at: Annotated[
        str,
        typer.Option(
            "--at",
            metavar="WHEN",
            help="`10m` from now, a time with UTC offset, or a local time with --zone.",
        ),
    ],
    zone: Annotated[
        str | None,
        typer.Option("--zone", help="Time zone of --at, e.g. Europe/Berlin."),
    ] = None,
    note: Annotated[str, typer.Option("--note", help="Note for its history.")] = "",
    as_json: AsJson = False,
) -> None:
    """Send a scheduled notification at another time.

    Not possible once it is dispatched. A local time that clocks skip is moved on by as much; of one that comes twice, the
    first is meant. Exit code 1 if it is unknown, dispatched or finished.

    Example: [bold]tidings reschedule 0192f0c1 --at 2026-12-24T18:00 --zone Europe/Berlin[/]
    """
    when = at if zone else drafts.ahead("--at", at) or at
    request = rescheduling.RescheduleRequest(id, when, zone, note)
    view = ask(lambda backend: rescheduling.reschedule(backend, actor(), request))
    if as_json:
        print_json(view.as_data())
        return
    due = view.chosen.at
    out.print(f"Rescheduled {view.id}: due {exact(due)}, {distance(due, datetime.now(UTC))}.")
    if view.chosen.adjustment is not None:
        out.print(_ADJUSTED[view.chosen.adjustment], style="magenta")


_ADJUSTED = {
    "gap": "The clocks are put forward over the time given: it was moved on by as much.",
    "fold": "The clocks are put back over the time given: it is the first of the two.",
}
