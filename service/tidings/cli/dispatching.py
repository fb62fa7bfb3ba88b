"""`tidings dispatching`: shows, pauses and resumes the schedulers together."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from tidings.cli.commands import Commands
from tidings.cli.console import out, print_json
from tidings.cli.options import AsJson, actor, ask
from tidings.cli.terminal import escape
from tidings.operations import dispatching
from tidings.operations.times import counted, distance, span

app = Commands(
    help="Show, pause and resume the publishing of all that is due.", no_args_is_help=True
)

Note = Annotated[str, typer.Option("--note", help="Note for the history, e.g. a ticket.")]


@app.command()
def show(as_json: AsJson = False) -> None:
    """Show the schedulers that run, what is due next, and how late they are.

    Example: [bold]tidings dispatching show[/]
    """
    view = ask(dispatching.show)
    if as_json:
        print_json(view.as_data())
        return
    now, backlog = datetime.now(UTC), view.backlog
    if view.order is not None and view.order.paused:
        order = view.order
        note = f": {order.note}" if order.note else ""
        out.print(
            f"[yellow]Paused[/] {distance(order.at, now)} by {escape(order.actor + note)}; "
            "`tidings dispatching resume` resumes it."
        )
    out.print(f"{counted(len(view.copies), 'scheduler')} running.")
    due = "nothing is due" if view.next_due is None else f"next due {distance(view.next_due, now)}"
    late = f"; {span(backlog.lag)} late" if backlog.lag >= 1 else ""
    out.print(f"{due[0].upper()}{due[1:]}{late}.")
    out.print(
        f"{counted(backlog.schedules, 'schedule')} active. Overdue: "
        f"{counted(backlog.overdue, 'notification')}, {counted(backlog.schedules_overdue, 'schedule')}."
    )


@app.command()
def pause(note: Note = "") -> None:
    """Publish nothing that is due, in all schedulers, until it is resumed.

    Scheduled notifications wait, schedules don't run, and so do replays and what was accepted while RabbitMQ was
    unavailable. Workers continue: what is in its lane is sent.

    Example: [bold]tidings dispatching pause --note "wrong template, INC-812"[/]
    """
    request = dispatching.DispatchingRequest(note)
    if ask(lambda backend: dispatching.pause(backend, actor(), request)):
        out.print("Dispatching is paused.")
    else:
        out.print("Dispatching was already paused.")


@app.command()
def resume(note: Note = "") -> None:
    """Publish again what is due; schedules treat missed runs by their own rule.

    Example: [bold]tidings dispatching resume[/]
    """
    request = dispatching.DispatchingRequest(note)
    if ask(lambda backend: dispatching.resume(backend, actor(), request)):
        out.print("Dispatching is resumed.")
    else:
        out.print("Dispatching was not paused.")
