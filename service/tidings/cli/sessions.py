"""`tidings sessions`: who is signed in to the console."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

from tidings.cli.commands import Commands
from tidings.cli.console import err, out, print_json
from tidings.cli.options import AsJson, Tenant, actor, ask
from tidings.cli.rows import Row, Rows, cell
from tidings.operations import sessions
from tidings.operations.sessions import EndSessionRequest, ListSessionsRequest, SessionView
from tidings.operations.times import ago

app = Commands(help="List and end sessions of the console.", no_args_is_help=True)


@app.command("list")
def list_(tenant: Tenant = None, as_json: AsJson = False) -> None:
    """List who is signed in to the console, the newest first.

    Example: [bold]tidings sessions list[/]
    """
    found = ask(lambda backend: sessions.list_(backend, ListSessionsRequest(tenant)))
    if as_json:
        print_json(found)
    elif found.data:
        out.print(_table(found.data, datetime.now(UTC)))
    else:
        err.print("Nobody is signed in.")


@app.command()
def end(
    session: Annotated[
        str, typer.Argument(metavar="ID", help="Id of the session, in full, as listed.")
    ],
    tenant: Tenant = None,
    note: Annotated[str, typer.Option("--note", help="Note for the audit trail.")] = "",
    as_json: AsJson = False,
) -> None:
    """End a session at once, in every process.

    Its person may sign in again; `tidings keys revoke` ends all sessions of a key for good. Exit code 1 if there is no
    such session.

    Example: [bold]tidings sessions end 0198c2f4-5a10-7c3e-9d55-3f6f1a2b4c70 --note "lost laptop"[/]
    """
    request = EndSessionRequest(session, tenant, note=note)
    ended = ask(lambda backend: sessions.end_other(backend, actor(), request))
    if as_json:
        print_json(ended)
    else:
        out.print(f"The session of {ended.session.name} was ended.")


def _table(found: Sequence[SessionView], now: datetime) -> Rows:
    names = ("Session", "Person", "Signed in by", "Tenant", "Scopes", "Since", "Last used", "Ends")
    return Rows(names, [_row(view, now) for view in found])


def _row(view: SessionView, now: datetime) -> Row:
    session = view.session
    return Row(
        [
            cell(str(session.id)),
            cell(f"{session.name} (test)" if session.test else session.name),
            cell(view.by),
            cell(session.tenant),
            cell(", ".join(session.scopes)),
            cell(ago(session.created_at, now)),
            cell(ago(session.last_used_at, now)),
            cell(ago(session.expires_at, now)),
        ]
    )
