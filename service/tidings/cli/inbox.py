"""`tidings inbox`: inboxes of end users."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from tidings.cli.commands import Commands
from tidings.cli.console import err, guarded, out, print_json, print_text
from tidings.cli.options import AsJson, ask, parsed
from tidings.cli.rows import Row, Rows, cell
from tidings.cli.terminal import escape
from tidings.operations import user_tokens
from tidings.operations.inbox import support
from tidings.operations.inbox.support import SupportInboxView, SupportMessageView
from tidings.operations.times import ago, ahead, counted
from tidings.settings import Settings
from tidings_events import DEFAULT_TENANT

STYLES: Final = {"unseen": "yellow", "acted": "green", "read": "green", "deleted": "dim"}

app = Commands(
    help="Show an end user's inbox; sign a token to try it as the user.", no_args_is_help=True
)

User = Annotated[
    str,
    typer.Argument(metavar="USER", help="The user's id, as notifications have it in `recipient`."),
]
Tenant = Annotated[str, typer.Option("--tenant", metavar="TENANT", help="The user's tenant.")]


def _expiry(text: str) -> datetime:
    moment = datetime.fromisoformat(ahead(text))
    return moment if moment.tzinfo else moment.astimezone()


@app.command()
def show(
    user: User,
    tenant: Tenant = DEFAULT_TENANT,
    limit: Annotated[
        int,
        typer.Option(help="At most so many messages, those that changed last.", min=1, max=1000),
    ] = 20,
    as_json: AsJson = False,
) -> None:
    """Show what became of a user's messages: unseen, seen, read, acted, snoozed, archived, expired or deleted.

    Last change first, without titles and content.

    Example: [bold]tidings inbox show user-4711 --tenant shop[/]
    """
    request = support.ShowInboxRequest(user, tenant, limit)
    view = ask(lambda backend: support.show(backend, request))
    if as_json:
        print_json(view)
    elif not view.revision:
        err.print(
            f"Nothing was ever delivered to the inbox of {escape(user)}, tenant {escape(tenant)}."
        )
    else:
        _print_inbox(view)


def _print_inbox(view: SupportInboxView) -> None:
    now = datetime.now(UTC)
    unread, unseen = view.counts.unread, view.counts.unseen
    out.print(
        f"{counted(unread, 'unread message')}, {unseen} of them unseen; revision {view.revision}."
    )
    out.print(_table(view.messages, now))


def _table(messages: Sequence[SupportMessageView], now: datetime) -> Rows:
    names = ("State", "Since", "Message", "Type", "Severity", "Delivered")
    return Rows(names, [_row(message, now) for message in messages])


def _row(view: SupportMessageView, now: datetime) -> Row:
    message, state = view.message, view.state.state
    return Row(
        [
            cell(state, STYLES.get(state, "")),
            cell(ago(view.since, now)),
            cell(str(message.id)),
            cell(message.type),
            cell(message.severity),
            cell(ago(message.created_at, now)),
        ]
    )


@app.command()
def token(
    user: User,
    tenant: Tenant = DEFAULT_TENANT,
    expires: Annotated[
        str,
        typer.Option(
            "--expires", metavar="WHEN", help="Valid until then: 10m from now, or a date and time."
        ),
    ] = "1h",
    as_json: AsJson = False,
) -> None:
    """Sign a token (JWT) of an end user and print it: whoever has it reads and marks that user's inbox.

    For tests and support, on a machine that has TIDINGS_API_JWT_SECRET; an application's own backend issues its
    users' tokens. Exit code 2 if there is no secret, or only a public key.

    Example: [bold]tidings inbox token user-4711 --tenant shop --expires 10m[/]
    """
    until = parsed(_expiry, expires, "--expires")
    request = user_tokens.SignTokenRequest(user, tenant, until)
    view = guarded(lambda: user_tokens.sign(Settings().api, request))
    if as_json:
        print_json(view)
        return
    print_text(view.token)
    err.print(
        f"[dim]It stands for a user: pass it on like a password. {_until(view.expires_at)}[/]"
    )


def _until(moment: datetime) -> str:
    return f"Valid until {moment.astimezone():%Y-%m-%d %H:%M:%S %z}."
