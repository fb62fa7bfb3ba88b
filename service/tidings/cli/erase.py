"""`tidings erase`: erases a person's data."""

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
            "--recipient", metavar="ADDRESS", help="Erase by address: in full, as published."
        ),
    ] = None,
    user: Annotated[
        str | None, typer.Option("--user", metavar="ID", help="Erase by `user_id`.")
    ] = None,
    tenant: Annotated[
        str | None,
        typer.Option(
            "--tenant",
            parser=tenant_name,
            metavar="TENANT",
            help="Only data of this tenant: user ids may repeat between tenants.",
        ),
    ] = None,
    note: Annotated[
        str | None,
        typer.Option(
            "--note",
            help="Note for each history. Required, except with --dry-run. Must not identify the person.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what would be erased, and erase nothing.")
    ] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Erase a person's data from finished notifications, dead letters and schedules.

    Addresses, content and headers are erased; states, times and attempts stay. Open dead letters are discarded first. The
    person is taken out of the recipients of schedules; one without any other is deleted.
    Exit code 1, and nothing is erased, while the person has unfinished notifications, is in the content of a schedule, or
    receives the alerts of a rule. Safe to interrupt and repeat.

    Examples:
      [bold]tidings erase --recipient jane@example.com --dry-run[/]
      [bold]tidings erase --user 4711 --note "request 2026-118"[/]
    """
    if note is None and not dry_run:
        raise Unclear("Missing option '--note'.")
    request = EraseRequest(recipient, user, note=note, dry_run=dry_run, tenant=tenant)
    if not (yes or dry_run):
        found = ask(lambda backend: erasure.erase(backend, actor(), replace(request, dry_run=True)))
        typer.confirm(f"Erase {_what(found)}{_whose(found)} permanently?", abort=True, err=True)
    view = ask(lambda backend: erasure.erase(backend, actor(), request))
    if as_json:
        print_json(view)
    else:
        out.print(f"{'Would erase' if dry_run else 'Erased'} {_what(view)}{_whose(view)}.")
        if view.unfinished:
            out.print(f"{counted(view.unfinished, 'unfinished notification')} must finish first.")
        if view.alert_rules:
            names = ", ".join(view.alert_rules)
            out.print(f"Alerts go to them: give another receiver to the rules {names} first.")
        if view.jobs:
            ids = ", ".join(map(str, view.jobs))
            out.print(f"Edits of dead letters name them: end or cancel the jobs {ids} first.")
        if view.without_tenant:
            matching = counted(view.without_tenant, "dead letter")
            verb = "matches" if view.without_tenant == 1 else "match"
            out.print(f"{matching} without a tenant {verb} too: erase without --tenant.")
    if view.unfinished and not dry_run:
        raise typer.Exit(FAULT)


def _what(view: ErasureView) -> str:
    dead_letters = counted(view.dead_letters, "dead letter")
    discarded = f" ({view.discarded:,} of them discarded first)" if view.discarded else ""
    keys = f", with {counted(view.keys, 'idempotency key')}" if view.keys else ""
    schedules = f", from {counted(view.schedules, 'schedule')}" if view.schedules else ""
    inbox = (
        f", with {counted(view.inbox_messages, 'message')} of inboxes"
        if view.inbox_messages
        else ""
    )
    return f"{counted(view.notifications, 'notification')} and {dead_letters}{discarded}{keys}{schedules}{inbox}"


def _whose(view: ErasureView) -> str:
    return f", addressed to {', '.join(view.recipients)}" if view.recipients else ""
