"""Finds free TCP ports on loopback, and tells which process listens on one."""

import fcntl
import http.client
import os
import random
import socket
import tempfile
import urllib.request
from base64 import b64encode
from collections.abc import Collection
from functools import cache
from pathlib import Path
from threading import Lock

from tidings_local.errors import LocalStackError

LOOPBACK = "127.0.0.1"

# Below what Linux, macOS and Windows hand out to outgoing connections: a client that reconnects
# while its server restarts must never be given the server's own port.
_CANDIDATES = range(20_000, 32_000)

_ours = set[int]()
_claiming = Lock()


def free_port(preferred: int | None = None, avoid: Collection[int] = ()) -> int:
    """A free port: the preferred one if it is free.

    No other process of this user is given it while this one lives: a server may take seconds until
    it listens. This process gets it again only where it prefers it.

    Raises:
        LocalStackError: Thousands of ports were tried and all are taken.
    """
    if preferred in _ours and preferred not in avoid and is_free(preferred):
        return preferred
    others = random.SystemRandom().sample(_CANDIDATES, len(_CANDIDATES))
    for port in others if preferred is None else (preferred, *others):
        if port not in avoid and is_free(port) and _claim(port):
            return port
    raise LocalStackError(
        f"no free port on {LOOPBACK} between {_CANDIDATES.start} and {_CANDIDATES.stop}: "
        "stop some of what listens there"
    )


def _claim(port: int) -> bool:
    """Make a port ours; whether it was nobody's."""
    with _claiming:
        if port in _ours:
            return False
        try:
            fcntl.lockf(_claims(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except (BlockingIOError, PermissionError):  # another process has it
            return False
        _ours.add(port)
    return True


@cache
def _claims() -> int:
    """A file of which each process locks the bytes with the numbers of its ports, for as long as it lives."""
    path = Path(tempfile.gettempdir()) / f"tidings-ports-{os.getuid()}"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def is_free(port: int) -> bool:
    """Whether a server could listen on this port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def answers(port: int) -> bool:
    """Whether a server accepts connections on this port now."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOOPBACK, port)) == 0


def accepts_login(url: str, user: str, password: str) -> bool:
    """Whether an HTTP server of ours answers, and knows this user."""
    token = b64encode(f"{user}:{password}".encode()).decode()
    request = urllib.request.Request(  # noqa: S310 - our own http:// address
        url, headers={"Authorization": f"Basic {token}"}
    )
    without_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with without_proxy.open(request, timeout=5) as reply:
            return bool(reply.status == 200)
    except (OSError, http.client.HTTPException):
        return False
