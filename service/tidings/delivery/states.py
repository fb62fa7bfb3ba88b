"""The states of a notification and the only moves between them.

The ledger's statements name the states that they move between in SQL, beside their conditions on epoch,
attempt and lease; cancelling and discarding take theirs from `sources`. That no statement moves a state
in another way is checked from outside: a test runs each on a row in every state, the simulation compares
every move with this table, and so does the audit of a running ledger. docs/lifecycle.md draws it.
"""

from enum import StrEnum
from types import MappingProxyType
from typing import Final


class State(StrEnum):
    """The state of a notification."""

    SCHEDULED = "scheduled"
    """Stored; published when due."""
    QUEUED = "queued"
    """In its lane, or about to be published there."""
    SENDING = "sending"
    """Claimed by a worker under a lease."""
    RETRYING = "retrying"
    """Waiting in a retry queue for its next attempt."""
    SENT = "sent"
    """Accepted by the provider."""
    DELIVERED = "delivered"
    """The provider's receipt says it arrived."""
    BOUNCED = "bounced"
    """The provider's receipt says it did not arrive."""
    FAILED = "failed"
    """Given up; its dead letter can be replayed."""
    CANCELLED = "cancelled"
    """Cancelled by a person: nothing more is sent. Its history says whether an earlier attempt may have arrived."""
    SUPPRESSED = "suppressed"
    """Not sent on purpose, e.g. a second notification with the same idempotency key."""
    EXPIRED = "expired"
    """Not delivered before `expires_at`."""
    UNKNOWN = "unknown"
    """Perhaps sent; waits for a decision."""
    DISCARDED = "discarded"
    """Its dead letter was discarded by a person, with a note."""


S = State

TRANSITIONS: Final = MappingProxyType(
    {
        S.SCHEDULED: frozenset({S.QUEUED, S.CANCELLED, S.EXPIRED}),
        S.QUEUED: frozenset(
            {S.SENDING, S.SENT, S.SUPPRESSED, S.EXPIRED, S.FAILED, S.UNKNOWN, S.CANCELLED}
        ),
        S.SENDING: frozenset(
            {
                S.SENDING,  # the lease expired and another worker took over
                S.QUEUED,  # the channel is at fault: the claim was released, no attempt spent
                S.SENT,
                S.RETRYING,
                S.FAILED,
                S.EXPIRED,
                S.UNKNOWN,
                S.SUPPRESSED,
            }
        ),
        S.RETRYING: frozenset({S.SENDING, S.SENT, S.FAILED, S.EXPIRED, S.UNKNOWN, S.CANCELLED}),
        S.SENT: frozenset({S.DELIVERED, S.BOUNCED, S.QUEUED}),  # queued: `replay --force`
        S.DELIVERED: frozenset({S.BOUNCED}),
        S.BOUNCED: frozenset({S.DELIVERED}),
        S.FAILED: frozenset({S.QUEUED, S.DISCARDED}),
        S.CANCELLED: frozenset[State](),
        S.SUPPRESSED: frozenset[State](),
        S.EXPIRED: frozenset({S.QUEUED, S.DISCARDED}),
        S.UNKNOWN: frozenset({S.QUEUED, S.DISCARDED, S.DELIVERED, S.BOUNCED}),
        S.DISCARDED: frozenset[State](),
    }
)
"""From each state, the states that may follow."""

UNFINISHED: Final = frozenset({S.SCHEDULED, S.QUEUED, S.SENDING, S.RETRYING})
FINISHED: Final = frozenset(State) - UNFINISHED


def may_become(before: State, after: State) -> bool:
    """Whether the table allows this move."""
    return after in TRANSITIONS[before]


def sources(after: State) -> tuple[str, ...]:
    """Every state from which `after` may be reached, sorted: for a statement's WHERE clause."""
    return tuple(sorted(before for before, targets in TRANSITIONS.items() if after in targets))
