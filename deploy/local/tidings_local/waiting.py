"""Waits for a condition with a time limit; nothing in the laptop's own stack sleeps blindly."""

import time
from collections.abc import Callable

INTERVAL = 0.02


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether the condition became true within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(INTERVAL)
    return True
