"""Runs a command line to its end: whatever goes wrong is a sentence on standard error and an exit code."""

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
    """Run what was typed and exit."""
    # What is imported stays until the end: to look through it for garbage, meanwhile and then, is a
    # quarter of a command's time.
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
    """Whoever started us may have closed them, and the next file or socket would get their number."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free: this one


def _code(app: CommandLine) -> int:
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except typer.Abort as abort:
        if isinstance(abort.__context__, KeyboardInterrupt | EOFError):
            err.print()  # nobody ended the line of the question
        err.print("Aborted.")
        return FAULT
    except typer.TyperException as error:
        return _explain(error)
    except OSError as error:
        return _failed(error)
    return code if isinstance(code, int) else 0


def _explain(error: typer.TyperException) -> int:
    """What is wrong with the command line, and where its help is."""
    if type(error).__name__ == "NoArgsIsHelpError":  # it has printed the help
        return int(getattr(error, "exit_code", FAULT))
    print_error(getattr(error, "format_message", error.__str__)())
    context = getattr(error, "ctx", None)
    if context is not None:
        err.print(f"[dim]Try `{context.command_path} --help`.[/]")
    return int(getattr(error, "exit_code", FAULT))


def _failed(error: OSError) -> int:
    """A file or a stream that can't be read or written."""
    with suppress(OSError):  # what is still to be written of it would fail again, when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if error.errno == errno.EPIPE:  # whoever read our output has seen enough
        return FAULT
    where = f"{error.filename}: " if error.filename is not None else "standard output: "
    print_error(f"{where}{error.strerror or error}")
    return FAULT


class _Closed(TextIOBase):
    """A standard output that was closed: what is written to it is lost, and that is an error."""

    encoding = "utf-8"

    def write(self, text: str, /) -> int:
        raise OSError(errno.EBADF, "it is closed, so nothing can be shown")
