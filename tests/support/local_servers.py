"""What the tests of the laptop's own servers look at from outside."""

import os
import subprocess
from pathlib import Path

from tidings_local.ports import answers


def processes_about(directory: Path) -> list[str]:
    """The command lines of processes that name this directory."""
    listing = subprocess.run(
        ["ps", "-A", "-o", "args="], capture_output=True, text=True, check=True
    )
    return [line for line in listing.stdout.splitlines() if str(directory) in line]


def listening_addresses(port: int) -> set[str]:
    """The IPv4 addresses, as the kernel writes them, on which this port is open."""
    table = Path("/proc/net/tcp").read_text().splitlines()[1:]
    sockets = (line.split() for line in table)
    local = (socket[1].split(":") for socket in sockets if socket[3] == "0A")
    return {address for address, its_port in local if int(its_port, 16) == port}


def is_gone(pid: int) -> bool:
    """Whether no process has this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def silent(*ports: int) -> bool:
    """Whether nobody answers on any of these ports."""
    return not any(answers(port) for port in ports)
