"""`tidings`: every command, in the order a newcomer needs them."""

import typer

from tidings.cli import roles

app = typer.Typer(
    name="tidings",
    help="Delivers notifications and loses none.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


app.command()(roles.worker)
app.command()(roles.scheduler)
app.command()(roles.archive)
app.command("all")(roles.all_roles)


def main() -> None:
    """Entry point of the `tidings` script."""
    app()
