"""`tidings`: every command, in the order a newcomer needs them."""

from importlib.metadata import version
from typing import Annotated, Final, NoReturn

import typer

from tidings.cli import (
    cancel,
    channels,
    dead,
    doctor,
    environment,
    installed,
    listing,
    migrate,
    ps,
    publish,
    replay,
    requeue,
    roles,
    show,
    statistics,
    templates,
    topology,
    verify,
)
from tidings.cli.commands import Commands
from tidings.cli.console import out
from tidings.cli.entry import enter
from tidings.telemetry.logs import configure

RUN: Final = "Run"
ASK: Final = "Ask and act"
SET_UP: Final = "Set up"

app = Commands(
    name="tidings",
    help="Delivers notifications and loses none.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


for name, command in installed.commands():
    app.command(name, rich_help_panel=RUN)(command)
app.command(rich_help_panel=RUN)(roles.worker)
app.command(rich_help_panel=RUN)(roles.scheduler)
app.command(rich_help_panel=RUN)(roles.archive)
app.command("all", rich_help_panel=RUN)(roles.all_roles)

app.command(rich_help_panel=ASK)(publish.publish)
app.command(rich_help_panel=ASK)(show.show)
app.command("list", rich_help_panel=ASK)(listing.list_)
app.command(rich_help_panel=ASK)(statistics.stats)
app.command(rich_help_panel=ASK)(ps.ps)
app.command(rich_help_panel=ASK)(cancel.cancel)
app.command(rich_help_panel=ASK)(requeue.requeue)

app.add_typer(channels.app, name="channels", rich_help_panel=ASK)
app.add_typer(dead.app, name="dead", rich_help_panel=ASK)
app.command(rich_help_panel=ASK)(replay.replay)

app.command(rich_help_panel=SET_UP)(doctor.doctor)
app.command(rich_help_panel=SET_UP)(verify.verify)
app.command("migrate", rich_help_panel=SET_UP)(migrate.migrate_)
app.command(rich_help_panel=SET_UP)(environment.settings)
app.add_typer(topology.app, name="topology", rich_help_panel=SET_UP)
app.add_typer(templates.app, name="templates", rich_help_panel=SET_UP)


def _show_version(asked: bool) -> None:
    if asked:
        out.print(version("tidings"))
        raise typer.Exit


@app.callback()
def root(
    _: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Delivers notifications and loses none."""
    configure("warning")  # a command speaks for itself; the roles say more, as they are told to


def main() -> NoReturn:
    """Entry point of the `tidings` script."""
    enter(app)
