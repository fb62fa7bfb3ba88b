"""`tidings`: the table of all commands."""

from typing import Annotated, Final, NoReturn

import typer

from tidings.cli.commands import Commands
from tidings.cli.console import out
from tidings.cli.entry import enter
from tidings.cli.lazy import RUN, LazyCommand, LazyGroup

OPERATE: Final = "Operate"
SET_UP: Final = "Set up"


class Root(LazyGroup):
    """All commands. Each line equals the first line of the command's docstring; a test compares them."""

    listed = (
        LazyCommand(
            RUN,
            "worker",
            "roles:worker",
            "Deliver notifications of every configured channel, or of the channels named.",
        ),
        LazyCommand(
            RUN,
            "scheduler",
            "roles:scheduler",
            "Publish scheduled notifications, run jobs, requeue lost ones and apply retention.",
        ),
        LazyCommand(
            RUN, "archive", "roles:archive", "Move dead letters from RabbitMQ to PostgreSQL."
        ),
        LazyCommand(RUN, "api", "roles:api", "Serve the HTTP API."),
        LazyCommand(
            RUN, "all", "roles:all_roles", "Run worker, scheduler, archive and API in one process."
        ),
        LazyCommand(
            OPERATE,
            "publish",
            "publish:publish",
            "Publish a notification and print its id when RabbitMQ has confirmed it.",
        ),
        LazyCommand(
            OPERATE,
            "show",
            "show:show",
            "Show the history of one notification: attempts, state changes and actors.",
        ),
        LazyCommand(OPERATE, "list", "listing:list_", "List notifications, newest first."),
        LazyCommand(
            OPERATE,
            "overview",
            "overview:overview",
            "Show in one screen whether anything is wrong.",
        ),
        LazyCommand(
            OPERATE,
            "who",
            "who:who",
            "Show what a person got in the last 30 days, in plain words.",
        ),
        LazyCommand(
            OPERATE,
            "stats",
            "statistics:stats",
            "Show outcomes, success rates, latencies and queue depths.",
        ),
        LazyCommand(
            OPERATE,
            "ps",
            "ps:ps",
            "List the running Tidings processes.",
        ),
        LazyCommand(
            OPERATE,
            "cancel",
            "cancel:cancel",
            "Cancel a notification before it is sent.",
        ),
        LazyCommand(
            OPERATE,
            "reschedule",
            "reschedule:reschedule",
            "Send a scheduled notification at another time.",
        ),
        LazyCommand(
            OPERATE,
            "resend",
            "resend:resend",
            "Send a notification again as a new one.",
        ),
        LazyCommand(
            OPERATE,
            "schedules",
            "schedules:app",
            "Show, create, pause, resume, run and delete schedules.",
        ),
        LazyCommand(
            OPERATE,
            "dispatching",
            "dispatching:app",
            "Show, pause and resume the publishing of all that is due.",
        ),
        LazyCommand(
            OPERATE,
            "requeue",
            "requeue:requeue",
            "Requeue notifications whose message is lost: by id, by filters, or --all.",
        ),
        LazyCommand(
            OPERATE,
            "erase",
            "erase:erase",
            "Erase a person's data from finished notifications, dead letters and schedules.",
        ),
        LazyCommand(
            OPERATE,
            "channels",
            "channels:app",
            "Show, pause and resume channels; enable and disable providers.",
        ),
        LazyCommand(
            OPERATE,
            "dead",
            "dead:app",
            "Inspect, edit and discard dead letters; `tidings replay` sends them again.",
        ),
        LazyCommand(
            OPERATE,
            "replay",
            "replay:replay",
            "Replay dead letters: by id, by filters, or --all.",
        ),
        LazyCommand(
            OPERATE,
            "jobs",
            "jobs:app",
            "List, show, start, watch, pause, resume and cancel jobs: replays, edits and discards of many dead letters.",
        ),
        LazyCommand(
            OPERATE,
            "alerts",
            "alerts:app",
            "List, create, edit, test and delete rules of alerts to operators.",
        ),
        LazyCommand(
            OPERATE,
            "outbox",
            "outbox:app",
            "The outbox in a producer's own database, and that of what was accepted while RabbitMQ was away.",
        ),
        LazyCommand(
            OPERATE,
            "mcp",
            "mcp:mcp",
            "Serve the Model Context Protocol on standard input and output, for an assistant.",
        ),
        LazyCommand(
            SET_UP,
            "doctor",
            "doctor:doctor",
            "Check RabbitMQ, PostgreSQL, providers and templates without sending anything.",
        ),
        LazyCommand(
            SET_UP,
            "audit",
            "audit:audit_",
            "Compare ledger and queues, and report lost or inconsistent notifications.",
        ),
        LazyCommand(
            SET_UP,
            "migrate",
            "migrate:migrate_",
            "Create or update the tables in PostgreSQL.",
        ),
        LazyCommand(
            SET_UP,
            "keys",
            "keys:app",
            "Create, list and revoke keys of the HTTP API.",
        ),
        LazyCommand(
            SET_UP,
            "sessions",
            "sessions:app",
            "List and end sessions of the console.",
        ),
        LazyCommand(
            OPERATE,
            "inbox",
            "inbox:app",
            "Show an end user's inbox; sign a token to try it as the user.",
        ),
        LazyCommand(
            SET_UP,
            "retention",
            "retention:app",
            "Show retention periods, and delete notifications that are past them.",
        ),
        LazyCommand(
            SET_UP,
            "settings",
            "environment:settings",
            "Show every setting: its value, default and meaning. Secrets are hidden.",
        ),
        LazyCommand(
            SET_UP,
            "topology",
            "topology:app",
            "Show, check, apply (create what is missing) and prune exchanges, queues and bindings in RabbitMQ.",
        ),
        LazyCommand(
            SET_UP,
            "templates",
            "templates:app",
            "List, check and render templates, or create a starter set.",
        ),
    )


app = Commands(
    name="tidings",
    cls=Root,
    help="Deliver notifications by email, SMS, WhatsApp, webhook and in-app inbox without losing any.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(show: bool) -> None:
    if show:
        from importlib.metadata import version

        out.print(version("tidings"))
        raise typer.Exit


@app.callback()
def root(
    _: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", callback=_show_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Deliver notifications by email, SMS, WhatsApp, webhook and in-app inbox without losing any."""
    from tidings.telemetry.logs import configure

    configure("warning")  # the roles set their own level later


def main() -> NoReturn:
    """Entry point of the `tidings` script."""
    enter(app)
