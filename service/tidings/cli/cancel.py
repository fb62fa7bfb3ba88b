"""`tidings cancel`: cancels a notification before it is sent."""

from typing import Annotated

import typer

from tidings.cli.console import out, print_json
from tidings.cli.options import AsJson, NotificationId, actor, ask
from tidings.operations import notifications


def cancel(
    id: NotificationId,
    note: Annotated[str, typer.Option("--note", help="Note for its history.")],
    as_json: AsJson = False,
) -> None:
    """Cancel a notification before it is sent.

    It must be scheduled, queued or waiting for a retry. Not possible before a worker has read it. Exit code 1 if it is
    unknown, being sent or finished.

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
            "It may have been delivered: the reply to an earlier attempt was lost.", style="magenta"
        )
