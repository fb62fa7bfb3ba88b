"""Notifications with a failure or an end other than sent, which have an index of their own."""

from typing import Final

from tidings.delivery.states import State

TROUBLED: Final = "(reason IS NOT NULL OR failure_kind IS NOT NULL)"
"""Of those in these states; there is an index of them alone. An index on the state would keep PostgreSQL from
updating rows in place (HOT), for every notification there is."""
TROUBLED_STATES: Final = frozenset(
    {
        State.RETRYING,
        State.FAILED,
        State.CANCELLED,
        State.SUPPRESSED,
        State.EXPIRED,
        State.UNKNOWN,
        State.DISCARDED,
    }
)
