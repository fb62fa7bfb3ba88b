"""Decides the final state of a notification that may have been delivered: never one that means "not delivered". Pure.

An outcome is unknown if the payload was sent and no reply came: the reply was lost, or the worker died during its
lease. That holds for the rest of the epoch; only a success ends it.
"""

from dataclasses import replace
from typing import Final

from tidings.delivery.outcome import OUTCOME_UNKNOWN, Failure, Outcome, Reason, Undeliverable

DENIES: Final = frozenset(Reason) - {Reason.OUTCOME_UNKNOWN, Reason.COPIES_REFUSED}
"""Reasons that leave a notification `failed` or `expired`, which mean that nothing arrived. (If only copies end so,
each of them is `unknown`; the mail itself was sent.)"""


def final_reason(reason: Reason, *, perhaps_sent: bool) -> Reason:
    """The reason with which a notification may end."""
    return Reason.OUTCOME_UNKNOWN if perhaps_sent and reason in DENIES else reason


def final_outcome(outcome: Outcome, *, perhaps_sent: bool) -> Outcome:
    """The outcome of an attempt, without denying a possible delivery.

    Args:
        perhaps_sent: Whether an earlier attempt of this epoch may have been delivered.
    """
    match outcome:
        case Undeliverable(reason=reason, failure=failure):
            doubt = perhaps_sent or failure.kind == OUTCOME_UNKNOWN
            may_be = final_reason(reason, perhaps_sent=doubt)
            return outcome if may_be is reason else Undeliverable(may_be, _doubted(reason, failure))
        case _:
            return outcome


def _doubted(reason: Reason, failure: Failure) -> Failure:
    message = f"{reason} after an attempt that may have been delivered: {failure.message}"
    return replace(failure, message=message)
