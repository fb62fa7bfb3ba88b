"""Options of the commands for a producer's outbox."""

from typing import Annotated

import typer

Dsn = Annotated[
    str | None,
    typer.Option(
        "--dsn",
        metavar="URL",
        help="The producer's database; TIDINGS_OUTBOX_DSN otherwise, which hides its password from `ps`.",
    ),
]
Schema = Annotated[
    str, typer.Option("--schema", metavar="NAME", help="Schema of the table tidings_outbox.")
]
