"""Runs commands and prints their results and errors.

Exit codes:
0  success
1  the command found or caused a problem
2  wrong command line or setting
3  RabbitMQ or PostgreSQL is unavailable
130  stopped with Ctrl-C
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NoReturn, TypeVar

import typer
import uvloop

from tidings.cli import plugins
from tidings.cli.terminal import (
    SafeConsole,
    escape,
    on_one_line,
    printable,
    printable_json,
    writes_unicode,
)
from tidings.delivery.errors import (
    BrokerUnavailable,
    ConfigurationError,
    InvalidRequest,
    LedgerUnavailable,
    TidingsError,
)
from tidings.operations.json_views import as_json
from tidings.operations.pages import PageView

FAULT: Final = 1
USAGE: Final = 2
UNAVAILABLE: Final = 3
STOPPED: Final = 130
OPTIONS: Final = {
    "assignments": "--set",
    "ends_at": "--end",
    "note": "--note",
    "scheduled_at": "--at",
    "starts_at": "--start",
    "states": "--state",
    "timezone": "--zone",
}
"""Options whose name differs from the field of the request."""
ARGUMENTS: Final = frozenset({"channel", "provider", "id", "ids", "key", "user"})
"""Fields of a request that are arguments; the others are options."""
LONGEST: Final = 2_000
"""Characters of an error message, which may quote a whole file."""

out: Final = SafeConsole()
err: Final = SafeConsole(stderr=True)

Result = TypeVar("Result")


class Unclear(typer.BadParameter):
    """A usage error without a wrong value: an option is missing, or two conflict."""

    def format_message(self) -> str:
        """The message without a prefix."""
        return self.message


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine. One of our errors ends the command with a message and an exit code."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(work)
    except InvalidRequest as error:
        raise _misused(error) from None
    except TidingsError as error:
        fail(error)
    except KeyboardInterrupt:
        raise typer.Exit(STOPPED) from None


def _misused(error: InvalidRequest) -> typer.BadParameter:
    """A usage error that names the option or argument at fault."""
    if not error.field:
        return Unclear(str(error))
    if error.field in ARGUMENTS:
        return typer.BadParameter(str(error), param_hint=error.field.upper())
    option = OPTIONS.get(error.field) or f"--{error.field.replace('_', '-')}"
    return typer.BadParameter(str(error), param_hint=option)


@contextmanager
def interruptible(interrupt: Callable[[], None]) -> Iterator[None]:
    """Call `interrupt` on the first Ctrl-C; a second one stops at once."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        loop.remove_signal_handler(signal.SIGINT)
        err.print("[dim]Finishing what is in progress; press Ctrl-C again to stop at once.[/]")
        interrupt()

    loop.add_signal_handler(signal.SIGINT, stop)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


def fail(error: TidingsError) -> NoReturn:
    """Print an error and exit with its code."""
    print_error(str(error))
    match error:
        case BrokerUnavailable() | LedgerUnavailable():
            end_as_unavailable()
        case ConfigurationError():
            raise typer.Exit(USAGE)
        case _:
            raise typer.Exit(FAULT)


def end_as_unavailable() -> NoReturn:
    """Print hints from plugins about an unavailable server, and exit."""
    for hint in plugins.hints(os.environ):
        err.print(f"[dim]{escape(hint)}[/]")
    raise typer.Exit(UNAVAILABLE)


def print_error(sentence: str) -> None:
    """Print an error on standard error."""
    err.print(f"[bold red]Error:[/] {escape(_shorten(sentence))}")


def print_warning(sentence: str) -> None:
    """Print a warning on standard error."""
    err.print(f"[bold yellow]Warning:[/] {escape(_shorten(sentence))}")


def _shorten(sentence: str) -> str:
    return on_one_line(sentence if len(sentence) <= LONGEST else f"{sentence[:LONGEST]}…")


def guarded(command: Callable[[], Result]) -> Result:
    """Call a function as `run` runs a coroutine."""
    try:
        return command()
    except InvalidRequest as error:
        raise _misused(error) from None
    except TidingsError as error:
        fail(error)


def print_all_as_json(found: Sequence[object]) -> None:
    """Print a list that is one page, in the envelope of every list."""
    print_json(PageView(tuple(found)))


def print_json(value: object) -> None:
    """Print one JSON document on standard output, independent of the terminal width."""
    text = as_json(value, ascii_only=not writes_unicode(sys.stdout))
    sys.stdout.write(printable_json(text) + "\n")


def print_text(text: str) -> None:
    """Print a text unchanged to a file or pipe, and without control sequences to a terminal."""
    sys.stdout.write((printable(text) if sys.stdout.isatty() else text) + "\n")
