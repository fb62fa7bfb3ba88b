"""`tidings`: every command, in the order a newcomer needs them."""

from typing import Annotated, Final, NoReturn

import typer

from tidings.cli.commands import Commands
from tidings.cli.console import out
from tidings.cli.entry import enter
from tidings.cli.lazy import RUN, LazyCommand, LazyGroup

OPERATE: Final = "Operate"
SET_UP: Final = "Set up"


class Root(LazyGroup):
    """Every command of Tidings. A command's line is the first sentence of its docstring; a test compares them."""

    listed = (
        LazyCommand(
            RUN,
            "worker",
            "roles:worker",
            "Deliver notifications, of every configured channel or of those named.",
        ),
        LazyCommand(
            RUN, "scheduler", "roles:scheduler", "Publish what is due; run as many as you like."
        ),
        LazyCommand(RUN, "archive", "roles:archive", "Keep the dead letters in PostgreSQL."),
        LazyCommand(
            RUN, "all", "roles:all_roles", "Run worker, scheduler and archive in one process."
        ),
        LazyCommand(
            OPERATE,
            "publish",
            "publish:publish",
            "Publish a notification and print its id once RabbitMQ has it safely.",
        ),
        LazyCommand(
            OPERATE,
            "show",
            "show:show",
            "Tell what happened to one notification: accepted, every attempt, every change and who made it.",
        ),
        LazyCommand(OPERATE, "list", "listing:list_", "List notifications, newest first."),
        LazyCommand(
            OPERATE,
            "stats",
            "statistics:stats",
            "Count notifications by channel and state, and the messages in every queue.",
        ),
        LazyCommand(
            OPERATE,
            "ps",
            "ps:ps",
            "List the processes that run: roles, host, process id, version, channels.",
        ),
        LazyCommand(
            OPERATE,
            "cancel",
            "cancel:cancel",
            "Call off a notification that is scheduled, waiting, or between two attempts.",
        ),
        LazyCommand(
            OPERATE,
            "requeue",
            "requeue:requeue",
            "Publish notifications again whose message is gone: by id, by filters, or --all.",
        ),
        LazyCommand(
            OPERATE,
            "erase",
            "erase:erase",
            "Erase a person: addresses, contents and headers of what has ended, and of dead letters.",
        ),
        LazyCommand(
            OPERATE,
            "channels",
            "channels:app",
            "See how channels and their providers fare; pause and resume them.",
        ),
        LazyCommand(
            OPERATE,
            "dead",
            "dead:app",
            "What was not delivered: look at it, mend it, close it. `tidings replay` sends it again.",
        ),
        LazyCommand(
            OPERATE,
            "replay",
            "replay:replay",
            "Send dead letters on their way again: by id, by filters, or --all.",
        ),
        LazyCommand(
            SET_UP,
            "doctor",
            "doctor:doctor",
            "Check RabbitMQ, PostgreSQL, every channel's provider and the templates; nothing is sent.",
        ),
        LazyCommand(
            SET_UP,
            "audit",
            "audit:audit_",
            "Hold ledger and queues against each other: is anything lost, or in a state that can't be?",
        ),
        LazyCommand(
            SET_UP,
            "migrate",
            "migrate:migrate_",
            "Create or update PostgreSQL's tables. Safe to run at every start, and from several places at once.",
        ),
        LazyCommand(
            SET_UP,
            "retention",
            "retention:app",
            "What is kept for how long, and deleting what is over.",
        ),
        LazyCommand(
            SET_UP,
            "settings",
            "environment:settings",
            "Show every environment variable: what it means, its default, what it is now. Secrets are hidden.",
        ),
        LazyCommand(
            SET_UP,
            "topology",
            "topology:app",
            "Exchanges, queues and bindings: shown, checked, made so, tidied up.",
        ),
        LazyCommand(
            SET_UP,
            "templates",
            "templates:app",
            "The words of messages: what there is, what is wrong with it, how it reads.",
        ),
    )


app = Commands(
    name="tidings",
    cls=Root,
    help="Delivers notifications and loses none.",
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
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Delivers notifications and loses none."""
    from tidings.telemetry.logs import configure

    configure("warning")  # a command speaks for itself; the roles say more, as they are told to


def main() -> NoReturn:
    """Entry point of the `tidings` script."""
    enter(app)
