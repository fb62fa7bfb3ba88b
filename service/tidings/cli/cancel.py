"""`tidings cancel`: calls a notification off before it is sent."""

from typing import Annotated

import typer

from tidings.cli.console import out, print_json, run
from tidings.cli.options import AsJson, actor, id_prefix, open_ledger
from tidings.delivery.errors import Refused
from tidings.delivery.states import State
from tidings.ledger.reports import IdPrefix
from tidings.settings import Settings


def cancel(
    id: Annotated[
        IdPrefix,
        typer.Argument(
            parser=id_prefix, metavar="ID", help="An id, or at least its first 8 digits."
        ),
    ],
    why: Annotated[str, typer.Option("--why", help="Kept in its history, with your name.")],
    as_json: AsJson = False,
) -> None:
    """Call off a notification that is scheduled, waiting, or between two attempts.

    What is being sent at this moment, or has ended, is left as it is (exit code 1).

    Example: [bold]tidings cancel 0192f0c1-7b1a-7c3e-9d55-3f6f1a2b4c5d --why "wrong customer"[/]
    """
    if not why.strip():
        raise typer.BadParameter("say why, in a few words", param_hint="--why")
    found, was = run(_cancel(id, why.strip()))
    if as_json:
        print_json({"id": found, "was": was, "state": State.CANCELLED})
    else:
        out.print(f"Cancelled {found}; it was {was}.")


async def _cancel(prefix: IdPrefix, why: str) -> tuple[str, State]:
    async with open_ledger(Settings()) as ledger:
        found = await ledger.reports.find(prefix)
        if found is None:
            raise Refused(
                "there is no such notification; one that is still waiting in its lane is known "
                "once a worker has read it"
            )
        return str(found), await ledger.changes.cancel(found, actor=actor(), reason=why)
