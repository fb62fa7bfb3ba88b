"""`tidings keys`: keys of the HTTP API."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from tidings.cli.commands import Commands
from tidings.cli.console import err, out, print_all_as_json, print_json, print_text
from tidings.cli.options import AsJson, actor, ask, parsed
from tidings.cli.rows import Row, Rows, cell
from tidings.operations import keys
from tidings.operations.keys import KeyView
from tidings.operations.scopes import Scope
from tidings.operations.times import ago, ahead

STYLES: Final = {"valid": "green", "expired": "yellow", "revoked": "red"}

app = Commands(help="Create, list and revoke keys of the HTTP API.", no_args_is_help=True)


def _expiry(text: str) -> datetime:
    moment = datetime.fromisoformat(ahead(text))
    return moment if moment.tzinfo else moment.astimezone()


@app.command()
def create(
    tenant: Annotated[
        str,
        typer.Option("--tenant", metavar="TENANT", help="Act for this tenant only; * for all."),
    ],
    scope: Annotated[
        list[str],
        typer.Option(
            "--scope", metavar="SCOPE", help=f"Permit this: {', '.join(Scope)}; repeatable."
        ),
    ],
    name: Annotated[
        str, typer.Option("--name", help="Name of its holder, for the audit trail.")
    ] = "",
    expires: Annotated[
        str | None,
        typer.Option(
            "--expires", metavar="WHEN", help="Stop working then: 90d from now, or a date and time."
        ),
    ] = None,
    test: Annotated[
        bool,
        typer.Option(
            "--test", help="Make a test key: it sees tests only, and what it sends reaches nobody."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Create a key and print it: only its hash is stored, so it is shown this once.

    Scopes: send (submit and cancel notifications), read (with people masked), reveal (people and content), operate
    (channels, dead letters), admin (erase, audit trail). None includes another.

    Examples:
      [bold]tidings keys create --tenant shop --scope send --scope read[/]
      [bold]tidings keys create --tenant "*" --scope operate --expires 90d[/]
      [bold]tidings keys create --tenant shop --scope send --scope read --name shop-ci --test[/]
    """
    until = None if expires is None else parsed(_expiry, expires, "--expires")
    request = keys.CreateKeyRequest(tenant, scope, name, until, test)
    view = ask(lambda backend: keys.create(backend, actor(), request))
    if as_json:
        print_json(view)
        return
    print_text(view.secret)
    if test:
        err.print(
            "[dim]A test key: what it sends is recorded and goes to a sink, never to a provider; it sees tests only.[/]"
        )
    err.print(
        f"[dim]Keep it now: it can't be shown again. Its prefix {view.key.prefix} names it in lists.[/]"
    )


@app.command("list")
def list_(
    tenant: Annotated[
        str | None, typer.Option("--tenant", metavar="TENANT", help="Only of this tenant.")
    ] = None,
    revoked: Annotated[
        bool, typer.Option("--revoked", help="Also those that are revoked or have expired.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the keys, oldest first, without their secrets.

    Example: [bold]tidings keys list --tenant shop[/]
    """
    found = ask(lambda backend: keys.list_(backend, keys.ListKeysRequest(tenant, revoked)))
    if as_json:
        print_all_as_json(found)
    elif found:
        out.print(_table(found))
    else:
        err.print("There is no key; `tidings keys create` makes one.")


@app.command()
def revoke(
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="Prefix of the key, e.g. tk_live_4bF9xQ2m.")
    ],
    note: Annotated[str, typer.Option("--note", help="Note for the audit trail.")] = "",
    as_json: AsJson = False,
) -> None:
    """Revoke a key at once, in every process.

    Exit code 1 if there is no such key, or it is revoked already.

    Example: [bold]tidings keys revoke tk_live_4bF9xQ2m --note "left the company"[/]
    """
    view = ask(lambda backend: keys.revoke(backend, actor(), keys.RevokeKeyRequest(key, note)))
    if as_json:
        print_json(view)
    else:
        out.print(f"{view.key.prefix} is revoked.")


def _table(found: Sequence[KeyView]) -> Rows:
    now = datetime.now(UTC)
    names = ("Key", "Name", "Tenant", "Scopes", "State", "Created", "Last used", "Expires")
    return Rows(names, [_row(view, now) for view in found])


def _row(view: KeyView, now: datetime) -> Row:
    key = view.key
    return Row(
        [
            cell(key.prefix),
            cell(key.name),
            cell(key.tenant),
            cell(", ".join(key.scopes)),
            cell(view.state, STYLES[view.state]),
            cell(f"{ago(key.created_at, now)} by {key.created_by}"),
            cell(ago(key.last_used_at, now) if key.last_used_at else "never"),
            cell(ago(key.expires_at, now) if key.expires_at else "never"),
        ]
    )
