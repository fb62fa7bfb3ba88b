"""Roles of people in the console, each with the scopes that it has."""

from collections.abc import Collection
from enum import StrEnum
from typing import Final

from tidings.operations.scopes import Scope


class ConsoleRole(StrEnum):
    """What a person may do; each role includes the one before it."""

    VIEWER = "viewer"
    """Look at everything, with people and content masked."""
    SUPPORT = "support"
    """Also reveal people and content, cancel, reschedule and send again."""
    OPERATOR = "operator"
    """Also act on dead letters, jobs, channels, schedules and the outbox."""
    ADMIN = "admin"
    """Also manage keys, rules of alerts and sessions, and read the audit trail."""


SCOPES: Final = {
    ConsoleRole.VIEWER: frozenset({Scope.READ}),
    ConsoleRole.SUPPORT: frozenset({Scope.READ, Scope.SEND, Scope.REVEAL}),
    ConsoleRole.OPERATOR: frozenset({Scope.READ, Scope.SEND, Scope.REVEAL, Scope.OPERATE}),
    ConsoleRole.ADMIN: frozenset(Scope),
}


def role_of(scopes: Collection[str]) -> ConsoleRole | None:
    """The highest role that these scopes cover; None: not even a viewer's."""
    covered = [role for role, needed in SCOPES.items() if needed <= set(scopes)]
    return covered[-1] if covered else None


def lowest_role(scope: Scope) -> ConsoleRole:
    """The first role that has a scope."""
    return next(role for role, scopes in SCOPES.items() if scope in scopes)
