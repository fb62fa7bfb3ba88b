"""What a command is given, and what has come of it."""

import os
from dataclasses import dataclass


@dataclass
class Finished:
    """A command that has ended."""

    code: int
    out: str
    err: str


def environment() -> dict[str, str]:
    """Ours, without any setting of Tidings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TIDINGS_")}
