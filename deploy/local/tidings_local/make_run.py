"""Says what to do where the servers that don't answer are those of `make run`."""

import shlex
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

SERVERS: Final = ("TIDINGS_AMQP_URL", "TIDINGS_DATABASE_URL")
TEMPLATES: Final = "TIDINGS_TEMPLATES_ROOT"
"""Its folder has the file of variables beside it."""
PATIENCE: Final = 0.5
"""Seconds for a server on this machine to take a connection."""


def advice(environment: Mapping[str, str]) -> str:
    """A sentence, if the environment came from `make run` and one of its servers refuses connections."""
    templates = environment.get(TEMPLATES, "")
    file = Path(templates).parent / "env"
    try:
        written = set(file.read_text().splitlines())
    except OSError:
        return ""
    if not templates or _line(TEMPLATES, templates) not in written:
        return ""
    servers = {name: environment[name] for name in SERVERS if environment.get(name)}
    if any(_line(name, url) not in written for name, url in servers.items()):
        return (
            f"`make run` has other addresses by now: `source {shlex.quote(str(file))}` once more."
        )
    if any(_refuses(url) for url in servers.values()):
        return "These are the servers of `make run`: is it still running?"
    return ""


def _line(name: str, value: str) -> str:
    return f"export {name}={shlex.quote(value)}"


def _refuses(url: str) -> bool:
    try:
        parts = urlsplit(url)
        if not (parts.hostname and parts.port):
            return False
        with socket.create_connection((parts.hostname, parts.port), PATIENCE):
            return False
    except ConnectionRefusedError:
        return True
    except (OSError, ValueError):
        return False
