"""Which notifications may have reached their recipients: in the present epoch, or in one before it."""

from typing import Final

from tidings.delivery.states import State

ARRIVED: Final = (State.SENT, State.DELIVERED, State.BOUNCED)
"""Of a notification whose recipients are known to have it: they get it again from a replay that is forced."""
_ARRIVED: Final = ", ".join(f"'{state}'" for state in ARRIVED)

IN_THIS_EPOCH: Final = """
(n.state = 'unknown' OR n.perhaps_sent OR n.lapses > 0 OR coalesce(n.failure_kind = 'outcome_unknown', false))
"""

BEFORE: Final = f"""
coalesce((SELECT true FROM transitions t
           WHERE t.notification_id = n.id AND t.after = 'queued'
             AND (t.before = 'unknown' OR t.before IN ({_ARRIVED}) AND t.reason LIKE 'forced: %')
           LIMIT 1), false)
"""
"""A replay begins a new epoch, and its first step says how the one before had ended. One that was sent and is
replayed unforced goes to those alone who have not got it. Of `EXISTS` PostgreSQL might read all transitions once."""

EVER: Final = f"({IN_THIS_EPOCH} OR {BEFORE})"
"""Of `notifications n`."""

OF_DEAD_LETTERS: Final = f"""
SELECT count(DISTINCT n.id) FROM dead_letters d JOIN notifications n ON n.id = d.notification_id
 WHERE d.id = ANY($1::uuid[]) AND ({EVER} OR $2::boolean AND n.state IN ({_ARRIVED}))
"""
