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
    REVEAL = "reveal"
    """See people and content unmasked."""
    ADMIN = "admin"
    """Manage keys, read the audit trail, erase."""


EVERY_TENANT: Final = "*"
"""The tenant of a key that may act for all."""
