"""Reads and writes files that are named on the command line."""

import sys
from pathlib import Path
from typing import Final

import typer

STDIN: Final = "-"


def contents(option: str, file: str) -> bytes:
    """Read a file; `-` is standard input.

    Raises:
        typer.BadParameter: It can't be read.
    """
    try:
        return sys.stdin.buffer.read() if file == STDIN else Path(file).read_bytes()
    except (OSError, ValueError) as error:
        raise _unusable(option, file, "can't be read", error) from None


def text_of(option: str, file: Path) -> str:
    """Read a text file. Raises like `contents`."""
    try:
        return contents(option, str(file)).decode("utf-8")
    except UnicodeDecodeError as error:
        raise _unusable(option, str(file), "can't be read", error) from None


def write_text(option: str, file: Path, text: str) -> None:
    """Write a file, and create its folder if it is missing.

    Raises:
        typer.BadParameter: It can't be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise _unusable(option, str(file), "can't be written", error) from None


def _unusable(option: str, file: str, what: str, error: Exception) -> typer.BadParameter:
    why = getattr(error, "strerror", None) or "it is not text in UTF-8"
    return typer.BadParameter(f"{file} {what}: {why}", param_hint=option)
