"""How long a task waits for PostgreSQL, where that is shorter than its settings say: a person looks at an empty page meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

_SECONDS: Final[ContextVar[float | None]] = ContextVar("tidings_patience", default=None)


@contextmanager
def patient_for(seconds: float) -> Iterator[None]:
    """Let each use of a connection within end after so many seconds, in this task and in those that it starts."""
    before = _SECONDS.set(seconds)
    try:
        yield
    finally:
        _SECONDS.reset(before)


def patience() -> float | None:
    """Seconds for one use of a connection; None: as the settings say."""
    return _SECONDS.get()
