"""Opens a text in the user's editor."""

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
    """Edit a text and return the saved version.

    Args:
        name: Name of the file; its extension sets the editor's mode.

    Raises:
        Refused: There is no editor, or it failed.
    """
    command = _editor()
    # readable by the owner only
    with _orderly(), tempfile.TemporaryDirectory(prefix="tidings-") as directory:
        path = Path(directory) / name
        path.write_text(text, encoding="utf-8")
        try:
            subprocess.run([*command, str(path)], check=True)  # noqa: S603  # the user's editor
        except OSError as error:
            raise Refused(
                f"can't start the editor {shlex.join(command)} ({error.strerror}): "
                "set EDITOR to another one, or use --set or --file"
            ) from None
        except subprocess.CalledProcessError as error:
            raise Refused(
                f"the editor {shlex.join(command)} exited with code {error.returncode}: "
                "nothing was changed"
            ) from None
        return path.read_text(encoding="utf-8", errors="surrogateescape")


@contextmanager
def _orderly() -> Iterator[None]:
    """Remove the temporary file also if a signal ends the process."""
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
    """VISUAL, EDITOR, or an editor on the PATH."""
    for name in ("VISUAL", "EDITOR"):
        if wanted := os.environ.get(name, "").strip():
            return shlex.split(wanted)
    for candidate in ("sensible-editor", "editor", "nano", "vi"):
        if found := shutil.which(candidate):
            return [found]
    raise Refused("no editor found: set EDITOR, or use --set or --file")
