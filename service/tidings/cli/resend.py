"""`tidings resend`: sends a notification again as a new one."""

from typing import Annotated

import typer

from tidings.cli.console import out, print_json
from tidings.cli.options import AsJson, NotificationId, actor, ask
from tidings.operations import resending


def resend(
    id: NotificationId,
    to: Annotated[
        str | None, typer.Option("--to", help="Another recipient, in the place of its own.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also while it is under way: it may arrive twice.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Send a notification again as a new one.

    The new one has the same content and another id. It goes out as soon as a scheduler runs, whatever times the first one
    had; the history of each names the other. Not possible once its content is deleted or erased. Exit code 1 if it is
    unknown or still under way. What failed is better replayed (`tidings replay`): it stays one notification.

    Examples:
      [bold]tidings resend 0192f0c1[/]
      [bold]tidings resend 0192f0c1 --to ada@example.com[/]
    """
    request = resending.ResendRequest(id, to, force)
    view = ask(lambda backend: resending.resend(backend, actor(), request))
    if as_json:
        print_json(view.as_data())
    else:
        out.print(f"Sent again as {view.id}. Next: `tidings show {view.id}`")
