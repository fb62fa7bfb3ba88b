"""`tidings`: every command, in the order a newcomer needs them."""

import typer

app = typer.Typer(
    name="tidings",
    help="Delivers notifications and loses none.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Entry point of the `tidings` script."""
    app()
