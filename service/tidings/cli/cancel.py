"""`tidings cancel`: calls a notification off before it is sent."""

from dataclasses import asdict
from typing import Annotated

import typer

from tidings.cli.console import out, print_json, run
from tidings.cli.options import AsJson, OneNotification, actor, open_ledger
from tidings.delivery.errors import Refused
from tidings.delivery.id_prefix import IdPrefix
from tidings.delivery.states import State
from tidings.ledger.notifications.changes import Cancelled
from tidings.operations.waiting import unknown
from tidings.settings import Settings


def cancel(
    id: OneNotification,
    why: Annotated[str, typer.Option("--why", help="Kept in its history, with your name.")],
    as_json: AsJson = False,
) -> None:
    """Call off a notification that is scheduled, waiting, or between two attempts.

    What is being sent at this moment, or has ended, is left as it is (exit code 1).

    Example: [bold]tidings cancel 0192f0c1-7b1a-7c3e-9d55-3f6f1a2b4c5d --why "wrong customer"[/]
    """
    if not why.strip():
        raise typer.BadParameter("it is empty; say why, in a few words", param_hint="--why")
    found, off = run(_cancel(id, why.strip()))
    if as_json:
        print_json({"id": found, "state": State.CANCELLED, **asdict(off)})
        return
    out.print(f"Cancelled {found}; it was {off.was}.")
    if off.perhaps_sent:
        out.print(
            "An earlier attempt may have been delivered: its reply was lost.", style="magenta"
        )


async def _cancel(prefix: IdPrefix, why: str) -> tuple[str, Cancelled]:
    settings = Settings()
    async with open_ledger(settings) as ledger:
        found = await ledger.reports.find(prefix)
        if found is None:
            raise Refused(await unknown(settings, ledger))
        return str(found), await ledger.changes.cancel(found, actor=actor(), reason=why)
