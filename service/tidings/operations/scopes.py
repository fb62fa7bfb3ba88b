"""Scopes: what an API key permits."""

from enum import StrEnum
from typing import Final


class Scope(StrEnum):
    """What a key permits; none includes another."""

    SEND = "send"
    """Submit, reschedule and cancel notifications."""
    READ = "read"
    """Read notifications, dead letters and statistics, with people and content masked."""
    OPERATE = "operate"
    """Act on channels, dead letters, jobs and the outbox."""
    ADMIN = "admin"
    """Reveal people and content, read the audit trail, erase."""


EVERY_TENANT: Final = "*"
"""The tenant of a key that may act for all."""
