"""`tidings cancel`: calls a notification off before it is sent."""

from typing import Annotated

import typer

from tidings.cli.console import out, print_json
from tidings.cli.options import AsJson, NotificationId, actor, ask
from tidings.operations import notifications


def cancel(
    id: NotificationId,
    note: Annotated[str, typer.Option("--note", help="Kept in its history, with your name.")],
    as_json: AsJson = False,
) -> None:
    """Call off a notification that is scheduled, waiting, or between two attempts.

    What is being sent at this moment, or has ended, is left as it is (exit code 1).

    Example: [bold]tidings cancel 0192f0c1-7b1a-7c3e-9d55-3f6f1a2b4c5d --note "wrong customer"[/]
    """
    request = notifications.CancelRequest(id, note)
    view = ask(lambda backend: notifications.cancel(backend, actor(), request))
    if as_json:
        print_json(view.as_data())
        return
    out.print(f"Cancelled {view.id}; it was {view.cancelled.previous_state}.")
    if view.cancelled.perhaps_sent:
        out.print(
            "An earlier attempt may have been delivered: its reply was lost.", style="magenta"
        )
