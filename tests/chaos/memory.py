"""What a process takes of memory, as the kernel counts it, and what it may take by docs/operations.md."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

MIB: Final = 1024 * 1024
OF_ITSELF: Final = 192 * MIB
HELD: Final = "64"
"""MiB of messages that a process holds where nothing else is said."""


def stated(env: Mapping[str, str]) -> int:
    """Bytes that a process with these settings takes at most."""
    return OF_ITSELF + 2 * int(env.get("TIDINGS_BUFFER_MIB", HELD)) * MIB


def memory(pid: int, name: str) -> int:
    """Bytes, by a name of /proc/PID/status: `VmHWM` is the most there ever was. 0 where the process has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), 0)
