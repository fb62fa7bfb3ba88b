"""How long what was pressed can be undone."""

from typing import Final

UNDO: Final = 10.0
"""Seconds after the start of a job in which nothing is done yet."""
STARTED: Final = "The job was started; nothing is done in the first seconds."
