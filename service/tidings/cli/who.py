"""`tidings who`: what one person got of late."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from tidings.cli.console import err, out, print_json
from tidings.cli.options import AsJson, Tenant, actor, ask
from tidings.cli.terminal import escape
from tidings.operations import people
from tidings.operations.people import DAYS, PersonRequest, PersonView, ReceivedView
from tidings.operations.times import ago, counted

STYLES = {True: "green", False: "red", None: "yellow"}
"""By whether it has arrived."""


def who(
    person: Annotated[
        str,
        typer.Argument(
            metavar="PERSON", help="An address, a phone number or a user's id, as published."
        ),
    ],
    tenant: Tenant = None,
    test: Annotated[
        bool, typer.Option("--test", help="Tests, in place of what is no test.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a person got in the last 30 days, in plain words.

    Of all channels. An address of one user leads to all that was for that user. Addresses stay masked; who looked is in the audit trail.

    Example: [bold]tidings who ada@example.com[/]
    """
    request = PersonRequest(person, tenant, test)
    view = ask(lambda backend: people.look_up(backend, actor(), request))
    if as_json:
        print_json(view)
    else:
        show(view)


def show(view: PersonView) -> None:
    """Print what a person got, or that it was not found."""
    if not view.received and not view.more:
        err.print(
            f"Nothing was sent to this person in the last {DAYS} days. An address has to be written as it was published."
        )
        return
    for received in view.received:
        out.print(_lines(received, datetime.now(UTC)))
    if len(view.users) > 1:
        names = ", ".join(f"{user} ({tenant})" for tenant, user in view.users)
        err.print(f"[dim]These are for several users: {escape(names)}. Look up one of them.[/]")
    if view.inbox is not None:
        unread, unseen = view.inbox.counts.unread, view.inbox.counts.unseen
        err.print(f"[dim]{counted(unread, 'unread message')} in the inbox, {unseen} unseen.[/]")
    if view.more:
        none = "" if view.received else "Nothing was found in the time that this has. "
        err.print(f"[dim]{none}There may be older ones: `tidings list` has all.[/]")


def _lines(received: ReceivedView, now: datetime) -> str:
    words, about = received.words, received.listed.summary
    accepted = ago(about.accepted_at, now)
    return (
        f"[{STYLES[words.arrived]}]{escape(words.sentence)}[/]\n"
        f"  [dim]{about.id} to {escape(about.recipient)}, accepted {accepted}[/]"
    )
