"""Tells a want of this machine's own (open files, memory, threads) from a fault of whoever was to be reached."""

import errno
import os
import socket
from collections.abc import Iterator
from typing import Final

OWN: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
NO_PORT: Final = errno.EADDRNOTAVAIL
"""No port of ours is free for that server. A URL may bring it about too, so it counts only where nobody else
chooses the server."""
_NO_THREAD: Final = "can't start new thread"
"""How Python says it, as a bare `RuntimeError`."""


def shortage(error: BaseException, *, chosen_by_us: bool = False) -> str | None:
    """What was wanting where an error came of that, in a few words; None where it did not.

    Only for what fails before anything is sent: nobody else may be to blame for it, and the attempt counts
    for nothing.

    Args:
        chosen_by_us: Whether the server comes from our settings, and not from a notification.
    """
    for one in _chain(error):
        match one:
            case OSError(errno=int() as number) if number in OWN or (
                chosen_by_us and number == NO_PORT
            ):
                return os.strerror(number)
            case RuntimeError() if _NO_THREAD in str(one):
                return "no thread can be started"
            case socket.gaierror() if (found := _no_socket()) is not None:
                return found  # a resolver without a socket says that there is no such name
    return None


def shortage_text(what: str) -> str:
    """What is told of it."""
    return f"this process is short of means of its own ({what}): nothing was sent; raise its limits, or run more of it"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what it came of."""
    seen: list[BaseException] = []
    waiting: list[BaseException] = [error]
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.append(one)
        yield one
        further = (getattr(one, "os_error", None), one.__cause__, one.__context__)
        waiting += [each for each in further if isinstance(each, BaseException)]


def _no_socket() -> str | None:
    """Why none can be opened at this moment; None where one can."""
    try:
        socket.socket().close()
    except OSError as error:
        return os.strerror(error.errno) if error.errno in OWN else None
    return None
