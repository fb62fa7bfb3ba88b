"""The JSON of notifications: the names that every interface has for what is stored."""

import json
from dataclasses import asdict
from typing import Any, Final

from tidings.ledger.notifications.details import NotificationDetails, NotificationSummary
from tidings.operations.json_views import ANSWER, ERROR, renamed

_SUMMARY: Final = {f"failure_{part}": name for part, name in ERROR.items()}
_ATTEMPT: Final = {**ANSWER, "retry_delay": "retry_delay_seconds"}
_PROVIDER_ATTEMPT: Final = {"kind": "outcome"}


def summary_as_data(summary: NotificationSummary) -> dict[str, Any]:
    """One in short. What was first read at a time is not said to be accepted then, and what asked nobody not to be an
    attempt."""
    data = renamed(summary, {**_SUMMARY, "attempt": "attempt_count"})
    data["attempt_count"] = summary.attempts_made
    data["first_read_at"] = None
    if summary.only_read:
        data |= {"accepted_at": None, "first_read_at": summary.accepted_at}
    return data


def story_as_data(story: NotificationDetails) -> dict[str, Any]:
    """One with its history, and with its body if that is to be revealed."""
    data = {
        **summary_as_data(story.notification),
        "history": [asdict(transition) for transition in story.history],
        "attempts": [
            renamed(attempt, _ATTEMPT) for attempt in story.attempts if not attempt.untried
        ],
        "dead_letters": [renamed(dead_letter, ERROR) for dead_letter in story.dead_letters],
        "provider_attempts": [renamed(part, _PROVIDER_ATTEMPT) for part in story.provider_attempts],
        "recipient_results": [renamed(recipient, ANSWER) for recipient in story.recipients],
    }
    return {**data, "body": json.loads(story.body)} if story.body else data
