"""Hands a text to the editor of whoever sits at the terminal."""

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from tidings.delivery.errors import Refused


def edit_text(text: str, name: str) -> str:
    """The text as it was saved.

    Args:
        name: Of the file that the editor opens; its ending tells the editor what it is.

    Raises:
        Refused: There is no editor, or it failed.
    """
    command = _editor()
    # only its owner can look in
    with _orderly(), tempfile.TemporaryDirectory(prefix="tidings-") as directory:
        path = Path(directory) / name
        path.write_text(text, encoding="utf-8")
        try:
            subprocess.run([*command, str(path)], check=True)  # noqa: S603  # the person's own editor
        except OSError as error:
            raise Refused(
                f"the editor {shlex.join(command)} can't be started ({error.strerror}): "
                "set EDITOR to another one, or use --set and --file"
            ) from None
        except subprocess.CalledProcessError as error:
            raise Refused(
                f"the editor {shlex.join(command)} ended with exit code {error.returncode}, "
                "so nothing was changed"
            ) from None
        return path.read_text(encoding="utf-8", errors="surrogateescape")


@contextmanager
def _orderly() -> Iterator[None]:
    """Signals that would end the process at once let it take away what it wrote first."""
    wanted = (signal.SIGTERM, signal.SIGHUP)
    deadly = [number for number in wanted if signal.getsignal(number) is signal.SIG_DFL]
    for number in deadly:
        signal.signal(number, _end)
    try:
        yield
    finally:
        for number in deadly:
            signal.signal(number, signal.SIG_DFL)


def _end(number: int, _: object) -> NoReturn:
    raise SystemExit(128 + number)


def _editor() -> list[str]:
    """VISUAL, EDITOR, or what the system has."""
    for name in ("VISUAL", "EDITOR"):
        if wanted := os.environ.get(name, "").strip():
            return shlex.split(wanted)
    for candidate in ("sensible-editor", "editor", "nano", "vi"):
        if found := shutil.which(candidate):
            return [found]
    raise Refused("there is no editor: set EDITOR, or use --set and --file")
