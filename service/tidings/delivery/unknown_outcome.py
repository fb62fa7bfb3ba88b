"""Decides how a notification ends that may have been delivered: never so that this is denied. Pure.

Doubt begins where a payload went out and no answer came: a lost reply, or a worker that vanished under its
lease. It lasts for the whole epoch, whatever comes after it, and only a success ends it.
"""

from dataclasses import replace
from typing import Final

from tidings.delivery.outcome import OUTCOME_UNKNOWN, Failure, Outcome, Reason, Undeliverable

DENIES: Final = frozenset(Reason) - {Reason.OUTCOME_UNKNOWN, Reason.COPIES_REFUSED}
"""Reasons that leave a notification `failed` or `expired`, which mean that nothing arrived. Copies alone that
end so are `unknown` each; the mail itself was sent."""


def final_reason(reason: Reason, *, perhaps_sent: bool) -> Reason:
    """The reason with which a notification may end."""
    return Reason.OUTCOME_UNKNOWN if perhaps_sent and reason in DENIES else reason


def final_outcome(outcome: Outcome, *, perhaps_sent: bool) -> Outcome:
    """What came of an attempt, so that its end does not deny what may have been.

    Args:
        perhaps_sent: Whether an earlier attempt of this epoch may have been delivered.
    """
    match outcome:
        case Undeliverable(reason=reason, failure=failure):
            doubt = perhaps_sent or failure.kind == OUTCOME_UNKNOWN
            may_be = final_reason(reason, perhaps_sent=doubt)
            return outcome if may_be is reason else Undeliverable(may_be, _said(reason, failure))
        case _:
            return outcome


def _said(reason: Reason, failure: Failure) -> Failure:
    message = f"{reason} after an attempt that may have been delivered: {failure.message}"
    return replace(failure, message=message)
