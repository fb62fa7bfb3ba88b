"""What every command shares: how it runs, how it fails, and what its exit code means.

0  done
1  done, and what it found or did is not well
2  the command line or a setting is wrong
3  RabbitMQ or PostgreSQL can't be reached: try again later
"""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from datetime import date
from typing import Any, Final, NoReturn, TypeVar

import typer
import uvloop
from rich.console import Console

from tidings.delivery.errors import (
    BrokerUnavailable,
    ConfigurationError,
    LedgerUnavailable,
    TidingsError,
)

FAULT: Final = 1
USAGE: Final = 2
UNAVAILABLE: Final = 3

out: Final = Console(highlight=False)
err: Final = Console(stderr=True, highlight=False)

Result = TypeVar("Result")


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a command's coroutine; our own errors end it with a sentence and an exit code, no traceback."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(work)
    except TidingsError as error:
        fail(error)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def fail(error: TidingsError) -> NoReturn:
    """Say what went wrong and exit with its code."""
    err.print(f"[bold red]Error:[/] {_plain(str(error))}", soft_wrap=True)
    match error:
        case BrokerUnavailable() | LedgerUnavailable():
            raise typer.Exit(UNAVAILABLE)
        case ConfigurationError():
            raise typer.Exit(USAGE)
        case _:
            raise typer.Exit(FAULT)


def guarded(command: Callable[[], Result]) -> Result:
    """Call something synchronous that may raise our errors."""
    try:
        return command()
    except TidingsError as error:
        fail(error)


def print_json(value: object) -> None:
    """Machine-readable output: one JSON document on standard output, untouched by terminal width."""
    sys.stdout.write(json.dumps(value, indent=2, default=_encode, ensure_ascii=False) + "\n")


def _encode(value: object) -> object:
    return value.isoformat() if isinstance(value, date) else str(value)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
