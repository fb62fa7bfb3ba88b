"""What every command shares: how it runs, how it fails, and what its exit code means.

0  done
1  done, and what it found or did is not well
2  the command line or a setting is wrong
3  RabbitMQ or PostgreSQL can't be reached: try again later
130  stopped with Ctrl-C
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
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

FAULT: Final = 1
USAGE: Final = 2
UNAVAILABLE: Final = 3
STOPPED: Final = 130
OPTIONS: Final = {"assignments": "--set", "note": "--note", "states": "--state"}
"""Options that have another name than their field of a request."""
ARGUMENTS: Final = frozenset({"channel", "provider", "id", "ids"})
"""Fields of a request that are arguments on the command line; the others are options."""
LONGEST: Final = 2_000
"""Characters of an error: it may quote what was typed, and a whole file may have been."""

out: Final = SafeConsole()
err: Final = SafeConsole(stderr=True)

Result = TypeVar("Result")


class Unclear(typer.BadParameter):
    """Options that are missing, or don't go together: none of them has a value that is wrong."""

    def format_message(self) -> str:
        """The sentence alone."""
        return self.message


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a command's coroutine; our own errors end it with a sentence and an exit code, no traceback."""
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
    """A usage error that names the option or the argument, if one of them is at fault."""
    if not error.field:
        return Unclear(str(error))
    if error.field in ARGUMENTS:
        return typer.BadParameter(str(error), param_hint=error.field.upper())
    option = OPTIONS.get(error.field) or f"--{error.field.replace('_', '-')}"
    return typer.BadParameter(str(error), param_hint=option)


@contextmanager
def interruptible(interrupt: Callable[[], None]) -> Iterator[None]:
    """Let the first Ctrl-C end what is under way in good order; the second one ends it at once."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        loop.remove_signal_handler(signal.SIGINT)
        err.print("[dim]Stopping after what is under way; Ctrl-C again stops at once.[/]")
        interrupt()

    loop.add_signal_handler(signal.SIGINT, stop)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


def fail(error: TidingsError) -> NoReturn:
    """Say what went wrong and exit with its code."""
    print_error(str(error))
    match error:
        case BrokerUnavailable() | LedgerUnavailable():
            end_as_unavailable()
        case ConfigurationError():
            raise typer.Exit(USAGE)
        case _:
            raise typer.Exit(FAULT)


def end_as_unavailable() -> NoReturn:
    """Exit as where a server can't be reached, which has been said; adds what is to be done where that is known."""
    for hint in plugins.hints(os.environ):
        err.print(f"[dim]{escape(hint)}[/]")
    raise typer.Exit(UNAVAILABLE)


def print_error(sentence: str) -> None:
    """A sentence on standard error."""
    err.print(f"[bold red]Error:[/] {escape(_shorten(sentence))}")


def print_warning(sentence: str) -> None:
    """The same about what was done all the same."""
    err.print(f"[bold yellow]Warning:[/] {escape(_shorten(sentence))}")


def _shorten(sentence: str) -> str:
    return on_one_line(sentence if len(sentence) <= LONGEST else f"{sentence[:LONGEST]}…")


def guarded(command: Callable[[], Result]) -> Result:
    """Call something synchronous that may raise our errors."""
    try:
        return command()
    except InvalidRequest as error:
        raise _misused(error) from None
    except TidingsError as error:
        fail(error)


def print_json(value: object) -> None:
    """Machine-readable output: one JSON document on standard output, untouched by terminal width."""
    text = as_json(value, ascii_only=not writes_unicode(sys.stdout))
    sys.stdout.write(printable_json(text) + "\n")


def print_text(text: str) -> None:
    """A text as it is, for a file or another program; a terminal gets it harmless."""
    sys.stdout.write((printable(text) if sys.stdout.isatty() else text) + "\n")
