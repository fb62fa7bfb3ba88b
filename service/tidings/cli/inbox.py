"""`tidings inbox`: inboxes of end users."""

from datetime import datetime
from typing import Annotated

import typer

from tidings.cli.commands import Commands
from tidings.cli.console import err, guarded, print_json, print_text
from tidings.cli.options import AsJson, parsed
from tidings.operations import user_tokens
from tidings.operations.times import ahead
from tidings.settings import Settings
from tidings_events import DEFAULT_TENANT

app = Commands(help="Sign tokens of end users, to try their inboxes.", no_args_is_help=True)


def _expiry(text: str) -> datetime:
    moment = datetime.fromisoformat(ahead(text))
    return moment if moment.tzinfo else moment.astimezone()


@app.command()
def token(
    user: Annotated[
        str,
        typer.Argument(metavar="USER", help="The user's id, as notifications have in `recipient`."),
    ],
    tenant: Annotated[
        str, typer.Option("--tenant", metavar="TENANT", help="The user's tenant.")
    ] = DEFAULT_TENANT,
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
