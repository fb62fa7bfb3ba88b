"""`tidings worker | scheduler | archive | api | all | outbox relay`: runs the roles."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import structlog
import typer

from tidings.cli.channel_names import known_channels
from tidings.cli.console import guarded, run
from tidings.cli.outbox_options import Dsn, Schema

if TYPE_CHECKING:
    from tidings.settings import Settings
    from tidings.telemetry.log_writer import LogWriter
    from tidings.worker.parts import Parts

Channels = Annotated[
    list[str] | None,
    typer.Option(
        "--channel",
        "-c",
        callback=known_channels,
        help="Serve only this channel; repeatable.",
    ),
]


def worker(channel: Channels = None) -> None:
    """Deliver notifications of every configured channel, or of the channels named.

    Example: [bold]tidings worker --channel email --channel sms[/]
    """
    start(["worker"], channel or [])


def scheduler() -> None:
    """Publish scheduled notifications, run jobs, requeue lost ones and apply retention.

    Any number of schedulers may run at once.

    Example: [bold]tidings scheduler[/]
    """
    start(["scheduler"])


def archive() -> None:
    """Move dead letters from RabbitMQ to PostgreSQL.

    Any number of archives may run at once.

    Example: [bold]tidings archive[/]
    """
    start(["archive"])


def api() -> None:
    """Serve the HTTP API.

    It listens on TIDINGS_API_LISTEN; `tidings keys create` makes the keys for it. Any number may run at once.

    Example: [bold]tidings api[/]
    """
    start(["api"])


def all_roles(channel: Channels = None) -> None:
    """Run worker, scheduler, archive and API in one process.

    Example: [bold]tidings all --channel email[/]
    """
    start(["worker", "scheduler", "archive", "api"], channel or [])


def relay(dsn: Dsn = None, schema: Schema = "public") -> None:
    """Publish what is committed in a producer's outbox, until stopped.

    Any number of relays may share one outbox. RabbitMQ is that of TIDINGS_AMQP_URL.

    Example: [bold]tidings outbox relay --dsn postgresql://shop@db.example.com/shop[/]
    """
    from tidings.operations.producer_outbox import dsn_of, sql
    from tidings.outbox_relay import serve
    from tidings.settings import Settings

    settings = Settings()
    address = guarded(lambda: dsn_of(settings.outbox, dsn))
    guarded(lambda: sql(schema, notify=False))
    run(serve(settings, address, schema, _logging(settings)))


def start(
    roles: Sequence[str], channels: Sequence[str] | None = None, parts: "Parts | None" = None
) -> None:
    """Run roles in this process until a signal stops it."""
    # Imported here so that the other commands start faster.
    from tidings.app import serve
    from tidings.settings import Settings
    from tidings.worker.parts import NO_WRAPPERS

    settings = Settings()
    guarded(settings.check)
    run(serve(settings, roles, channels or [], _logging(settings), parts or NO_WRAPPERS))


def _logging(settings: "Settings") -> "LogWriter":
    """Log as a process does, and name unknown variables."""
    from tidings.settings.variables import unknown
    from tidings.telemetry.log_writer import take_over_standard_error
    from tidings.telemetry.logs import configure

    worker = guarded(lambda: settings.worker)
    writer = take_over_standard_error()
    configure(worker.log_level, worker.log_format, dropped=writer.dropped)
    for variable in guarded(lambda: list(unknown(settings, os.environ))):
        structlog.get_logger(__name__).warning(
            "unknown variable", name=variable.name, did_you_mean=variable.nearest
        )
    return writer
