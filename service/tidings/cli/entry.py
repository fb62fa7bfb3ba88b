"""Runs the command line: every failure ends as a message on standard error and an exit code."""

import errno
import gc
import os
import sys
from contextlib import suppress
from io import TextIOBase
from typing import NoReturn, Protocol

import typer

from tidings.cli.complete_output import complete
from tidings.cli.console import FAULT, err, print_error
from tidings.cli.terminal import make_encodable


class CommandLine(Protocol):
    """A Typer application."""

    def __call__(self, *, standalone_mode: bool) -> object: ...


def enter(app: CommandLine) -> NoReturn:
    """Run the command line and exit."""
    # Imported modules live until the end; collecting them would take a quarter of a command's time.
    gc.set_threshold(50_000)
    _occupy_closed_streams()
    make_encodable(sys.stdout, sys.stderr)
    if sys.stdout is None:
        sys.stdout = _Closed()
    else:
        sys.stdout = complete(sys.stdout, "standard output")
    if sys.stderr is not None:
        sys.stderr = complete(sys.stderr, "standard error")
    code = _code(app)
    gc.freeze()
    sys.exit(code)


def _occupy_closed_streams() -> None:
    """Open /dev/null in place of closed standard streams, or the next file or socket would get their number."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number: this one


def _code(app: CommandLine) -> int:
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except typer.Abort as abort:
        if isinstance(abort.__context__, KeyboardInterrupt | EOFError):
            err.print()  # ends the line of the prompt
        err.print("Aborted.")
        return FAULT
    except typer.TyperException as error:
        return _explain(error)
    except OSError as error:
        return _failed(error)
    return code if isinstance(code, int) else 0


def _explain(error: typer.TyperException) -> int:
    """Print a usage error and the command for help."""
    if type(error).__name__ == "NoArgsIsHelpError":  # the help was printed
        return int(getattr(error, "exit_code", FAULT))
    print_error(getattr(error, "format_message", error.__str__)())
    context = getattr(error, "ctx", None)
    if context is not None:
        err.print(f"[dim]Try `{context.command_path} --help`.[/]")
    return int(getattr(error, "exit_code", FAULT))


def _failed(error: OSError) -> int:
    """Print the error of a file or stream."""
    with suppress(OSError):  # the rest of the output would fail again when Python exits
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if error.errno == errno.EPIPE:  # the reader closed the pipe
        return FAULT
    where = f"{error.filename}: " if error.filename is not None else "standard output: "
    print_error(f"{where}{error.strerror or error}")
    return FAULT


class _Closed(TextIOBase):
    """A closed standard output: writing to it is an error."""

    encoding = "utf-8"

    def write(self, text: str, /) -> int:
        raise OSError(errno.EBADF, "it is closed")
