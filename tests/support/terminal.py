"""A terminal of any width, and what a command prints there."""

import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Iterator, Mapping
from contextlib import suppress
from fcntl import ioctl

from tests.support.processes import TIDINGS, environment

ANSI = re.compile(r"\x1b\[[\d;?]*[a-zA-Z]")


def in_a_terminal(
    columns: int, *arguments: str, env: Mapping[str, str] | None = None, typed: bytes = b""
) -> tuple[int, str]:
    """Run `tidings` in a terminal so wide: its exit code, and what it printed, without colours.

    Args:
        typed: What somebody types there, at once; the terminal shows it too.
    """
    ours, its = pty.openpty()
    ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    given = {**environment(), **(env or {}), "TERM": "xterm"}
    given.pop("COLUMNS", None)
    with subprocess.Popen(
        [TIDINGS, *arguments], stdin=its, stdout=its, stderr=its, env=given, start_new_session=True
    ) as process:
        os.close(its)
        os.write(ours, typed)
        output = b"".join(_read(ours))
    return process.returncode, ANSI.sub("", output.decode()).replace("\r\n", "\n")


def _read(descriptor: int) -> Iterator[bytes]:
    """Everything, until nobody has the other end."""
    with os.fdopen(descriptor, "rb", buffering=0) as terminal, suppress(OSError):  # EIO at its end
        while data := terminal.read(65_536):
            yield data
