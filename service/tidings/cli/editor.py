"""Hands a text to the editor of whoever sits at the terminal."""

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from tidings.delivery.errors import Refused


def edit_text(text: str, name: str) -> str:
    """The text as it was saved.

    Args:
        name: Of the file that the editor opens; its ending tells the editor what it is.

    Raises:
        Refused: There is no editor, or it failed.
    """
    command = _editor()
    with tempfile.TemporaryDirectory(prefix="tidings-") as directory:  # only its owner can look in
        path = Path(directory) / name
        path.write_text(text, encoding="utf-8")
        try:
            subprocess.run([*command, str(path)], check=True)  # noqa: S603  # the person's own editor
        except (OSError, subprocess.CalledProcessError) as error:
            raise Refused(f"the editor {shlex.join(command)} failed: {error}") from None
        return path.read_text(encoding="utf-8", errors="surrogateescape")


def _editor() -> list[str]:
    """VISUAL, EDITOR, or what the system has."""
    for name in ("VISUAL", "EDITOR"):
        if wanted := os.environ.get(name, "").strip():
            return shlex.split(wanted)
    for candidate in ("sensible-editor", "editor", "nano", "vi"):
        if found := shutil.which(candidate):
            return [found]
    raise Refused("there is no editor: set EDITOR, or use --set and --file")
