"""A resolver that does not answer for some names, and answers for all others."""

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

TAIL = ".hangs.example"
"""What the names end with that it keeps silent about, all of one domain …"""
HANGS = ".hangs"
"""… or each of a domain of its own."""


@dataclass
class Resolver:
    """Its queries, by name."""

    queries: Counter[str] = field(default_factory=Counter)
    hanging: int = 0
    """Look-ups that wait right now."""
    most: int = 0
    let_go: threading.Event = field(default_factory=threading.Event)
    """Then it says that there are no such names."""


@contextmanager
def hanging_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    """Such a resolver instead of the system's."""
    asks, resolver, lock = socket.getaddrinfo, Resolver(), threading.Lock()

    def getaddrinfo(host: Any, *arguments: Any, **named: Any) -> Any:
        with lock:
            resolver.queries[str(host)] += 1
        if not str(host).endswith((TAIL, HANGS)):
            return asks(host, *arguments, **named)
        with lock:
            resolver.hanging += 1
            resolver.most = max(resolver.most, resolver.hanging)
        resolver.let_go.wait(30)
        with lock:
            resolver.hanging -= 1
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with monkeypatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", getaddrinfo)
        try:
            yield resolver
        finally:
            resolver.let_go.set()
