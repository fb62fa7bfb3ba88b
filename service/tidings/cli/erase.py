"""`tidings erase`: erases a person from what is stored."""

from dataclasses import replace
from typing import Annotated

import typer

from tidings.cli.console import FAULT, Unclear, out, print_json
from tidings.cli.dead_letter_options import Yes
from tidings.cli.options import AsJson, actor, ask, tenant_name
from tidings.operations import erasure
from tidings.operations.erasure import EraseRequest, ErasureView
from tidings.operations.times import counted


def erase(
    recipient: Annotated[
        str | None,
        typer.Option(
            "--recipient", metavar="ADDRESS", help="Whom: an address in full, as it was written."
        ),
    ] = None,
    user: Annotated[
        str | None, typer.Option("--user", metavar="ID", help="Whom: a producer's `user_id`.")
    ] = None,
    tenant: Annotated[
        str | None,
        typer.Option(
            "--tenant",
            parser=tenant_name,
            metavar="TENANT",
            help="Only what is this tenant's; two may have the same ids of users.",
        ),
    ] = None,
    note: Annotated[
        str | None,
        typer.Option(
            "--note", help="Kept in each history with your name; must not name the person."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only count what would be erased.")
    ] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Erase a person: addresses, contents and headers of what has ended, and of dead letters.

    Open dead letters are discarded first. Nothing is erased while something of theirs is unfinished (exit code 1).
    States, times and attempts stay. If it is interrupted, give it again: it goes on with the rest.

    Examples:
      [bold]tidings erase --recipient jane@example.com --dry-run[/]
      [bold]tidings erase --user 4711 --note "request 2026-118"[/]
    """
    if note is None and not dry_run:
        raise Unclear("Missing option '--note'.")
    request = EraseRequest(recipient, user, note=note, dry_run=dry_run, tenant=tenant)
    if not (yes or dry_run):
        found = ask(lambda backend: erasure.erase(backend, actor(), replace(request, dry_run=True)))
        typer.confirm(f"Erase {_what(found)}{_whose(found)} for good?", abort=True, err=True)
    view = ask(lambda backend: erasure.erase(backend, actor(), request))
    if as_json:
        print_json(view)
    else:
        out.print(f"{'Would erase' if dry_run else 'Erased'} {_what(view)}{_whose(view)}.")
        if view.unfinished:
            out.print(f"{counted(view.unfinished, 'notification')} of theirs must end first.")
    if view.unfinished and not dry_run:
        raise typer.Exit(FAULT)


def _what(view: ErasureView) -> str:
    dead_letters = counted(view.dead_letters, "dead letter")
    discarded = f" ({view.discarded:,} of them discarded first)" if view.discarded else ""
    keys = f", with {counted(view.keys, 'idempotency key')}" if view.keys else ""
    return f"{counted(view.notifications, 'notification')} and {dead_letters}{discarded}{keys}"


def _whose(view: ErasureView) -> str:
    return f", addressed to {', '.join(view.recipients)}" if view.recipients else ""
