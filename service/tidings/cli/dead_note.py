"""`tidings dead note`: keeps a note with a dead letter or a group of them."""

from typing import Annotated

import typer

from tidings.cli import dead_letter_options as which
from tidings.cli.console import Unclear, out, print_json
from tidings.cli.options import AsJson, Tenant, actor, ask
from tidings.delivery.id_prefix import IdPrefix
from tidings.operations.dead_letters import notes
from tidings.operations.dead_letters.notes import GroupRequest


def note(
    id: which.OneId = None,
    fingerprint: Annotated[
        str | None,
        typer.Option(
            "--fingerprint", "-f", help="Of this group instead: its fingerprint or first digits."
        ),
    ] = None,
    tenant: Tenant = None,
    text: Annotated[
        str | None, typer.Option("--note", help="Replaces the note that there is.")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the note.")] = False,
    as_json: AsJson = False,
) -> None:
    """Keep a note with an open dead letter, or with a group of dead letters.

    `tidings dead list`, `groups` and `show` show it, with who wrote it and when. The note of a group stays when the group
    has ended. Without --tenant it is about the group of all tenants together, and no tenant sees it.

    Examples:
      [bold]tidings dead note 1f0c52a6 --note "asked the customer for the new address"[/]
      [bold]tidings dead note --fingerprint 6b1f03 --note "new certificate, ticket 4711"[/]
      [bold]tidings dead note --fingerprint 6b1f03 --remove[/]
    """
    if (id is None) == (fingerprint is None):
        raise Unclear("give the id of a dead letter, or --fingerprint")
    if (text is None) != remove:
        raise Unclear("give --note, or --remove")
    if id is not None:
        _of_one(id, tenant, text, as_json=as_json)
    elif fingerprint is not None:
        _of_group(GroupRequest(fingerprint, tenant), text, as_json=as_json)


def _of_one(id: IdPrefix, tenant: str | None, text: str | None, *, as_json: bool) -> None:
    view = ask(
        lambda backend: (
            notes.remove(backend, actor(), id, tenant)
            if text is None
            else notes.annotate(backend, actor(), id, text, tenant)
        )
    )
    if as_json:
        print_json(view.as_data())
    else:
        out.print(f"{'Removed from' if text is None else 'Noted with'} dead letter {view.id}.")


def _of_group(request: GroupRequest, text: str | None, *, as_json: bool) -> None:
    view = ask(
        lambda backend: (
            notes.remove_from_group(backend, actor(), request)
            if text is None
            else notes.annotate_group(backend, actor(), request, text)
        )
    )
    if as_json:
        print_json(view.as_data())
    else:
        of = f" of {request.tenant}" if request.tenant else ""
        done = "Removed from" if text is None else "Noted with"
        out.print(f"{done} group {view.fingerprint}{of}.")
