"""`tidings dead owner`: says who takes care of a group of dead letters."""

from typing import Annotated

import typer

from tidings.cli.console import Unclear, out, print_json
from tidings.cli.options import AsJson, Tenant, actor, ask
from tidings.operations.dead_letters import owners
from tidings.operations.dead_letters.notes import GroupRequest


def owner(
    fingerprint: Annotated[
        str, typer.Argument(metavar="FINGERPRINT", help="Of the group, or its first digits.")
    ],
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Who takes care of it; up to 64 characters."),
    ] = None,
    tenant: Tenant = None,
    remove: Annotated[bool, typer.Option("--remove", help="Nobody does any more.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say who takes care of a group of dead letters.

    `tidings dead groups` shows it. It stays when the group has ended. Without --tenant it is about the group of all tenants
    together, and no tenant sees it.

    Examples:
      [bold]tidings dead owner 6b1f03 jane[/]
      [bold]tidings dead owner 6b1f03 --remove[/]
    """
    if (name is None) != remove:
        raise Unclear("give a name, or --remove")
    request = GroupRequest(fingerprint, tenant)
    view = ask(
        lambda backend: (
            owners.remove(backend, actor(), request)
            if name is None
            else owners.set_owner(backend, actor(), request, name)
        )
    )
    if as_json:
        print_json(view.as_data())
    elif view.owner is None:
        out.print(f"Group {view.fingerprint} has no owner any more.")
    else:
        out.print(f"Group {view.fingerprint} is {view.owner.owner}'s.")
