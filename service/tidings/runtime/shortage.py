"""Tells a shortage of this machine (open files, memory, threads) from a fault of the server."""

import errno
import os
import socket
from collections.abc import Iterator
from typing import Final

OWN: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
NO_PORT: Final = errno.EADDRNOTAVAIL
"""No local port is free for that server. A notification's URL can cause it too, so it counts only for servers from
our settings."""
_NO_THREAD: Final = "can't start new thread"
"""Python's message, in a bare `RuntimeError`."""


def shortage(error: BaseException, *, chosen_by_us: bool = False) -> str | None:
    """The resource whose shortage caused an error; None if it has another cause.

    Only for errors before anything is sent: the provider is not to blame, and the attempt doesn't count.

    Args:
        chosen_by_us: Whether the server comes from our settings, and not from a notification.
    """
    for cause in _chain(error):
        match cause:
            case OSError(errno=int() as number) if number in OWN or (
                chosen_by_us and number == NO_PORT
            ):
                return os.strerror(number)
            case RuntimeError() if _NO_THREAD in str(cause):
                return "no thread can be started"
            case socket.gaierror() if (found := _no_socket()) is not None:
                return found  # a resolver that gets no socket reports an unknown name
    return None


def shortage_text(what: str) -> str:
    """The error's text."""
    return f"this process is short of resources ({what}), so nothing was sent; raise its limits or start more processes"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and its causes."""
    seen: list[BaseException] = []
    waiting: list[BaseException] = [error]
    while waiting:
        cause = waiting.pop()
        if cause in seen:
            continue
        seen.append(cause)
        yield cause
        further = (getattr(cause, "os_error", None), cause.__cause__, cause.__context__)
        waiting += [each for each in further if isinstance(each, BaseException)]


def _no_socket() -> str | None:
    """Why no socket can be opened now; None if one can."""
    try:
        socket.socket().close()
    except OSError as error:
        return os.strerror(error.errno) if error.errno in OWN else None
    return None
