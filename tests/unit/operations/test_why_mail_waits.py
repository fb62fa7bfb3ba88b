"""Why a notification waits: its time, its channel, its providers, its lane."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from tidings.broker.topology.inspection import Depth
from tidings.delivery.states import State
from tidings.ledger.notifications.details import NotificationSummary
from tidings.operations.channels import DELIVERING, DOWN, PAUSED, ChannelStatus
from tidings.operations.waiting import WaitContext, why_it_waits

NOW = datetime(2026, 11, 22, 18, 30, tzinfo=UTC)
LANE = "tidings.email.high"


def notification(number: int = 7, **fields: Any) -> NotificationSummary:
    known: dict[str, Any] = {
        "id": UUID(int=number + (0x0193A5C42C007000 << 64)),
        "channel": "email",
        "priority": "high",
        "tenant": "default",
        "category": "receipt",
        "recipient": "jane@example.com",
        "state": State.FAILED,
        "attempt": 3,
        "accepted_at": NOW - timedelta(minutes=59),
        "reason": "rejected",
        "failure_code": "550 5.1.1",
        "failure_message": None,
    }
    return NotificationSummary(
        **{**dict.fromkeys(NotificationSummary.__dataclass_fields__), **known, **fields}
    )


def around(
    *conditions: ChannelStatus, lane: tuple[int | None, int | None] | None = None
) -> WaitContext:
    return WaitContext(conditions, {LANE: Depth(LANE, "", *lane)} if lane else {})


PAUSE = ChannelStatus("email", "", PAUSED, NOW - timedelta(minutes=5), "cli jane@desk: new relay")
FINE = ChannelStatus("email", "", DELIVERING)
AWAY = ChannelStatus(
    "email", "primary", DOWN, NOW, "451 later", 1, probe_at=NOW + timedelta(seconds=30)
)
BACKUP = ChannelStatus("email", "backup", DELIVERING)


@pytest.mark.parametrize(
    ("surroundings", "fields", "reason"),
    [
        (around(PAUSE, AWAY), {}, "email is paused (5m ago): cli jane@desk: new relay"),
        (around(FINE, AWAY), {}, "email primary is down, next probe in 30s: 451 later"),
        (around(FINE, AWAY, BACKUP), {}, "waiting for a worker"),
        (around(FINE, lane=(7, 0)), {}, f"no worker runs for {LANE}"),
        (around(FINE, lane=(7, 2)), {}, f"waiting for a worker: 7 in {LANE}"),
        (around(FINE, lane=(0, 2)), {"failure_message": None}, "waiting for a worker"),
        (around(FINE, lane=(0, 2)), {"failure_message": "its receiver is busy"},
         "postponed, in a retry queue or its lane: its receiver is busy"),
        (around(FINE, lane=(None, None)), {}, f"its lane {LANE} is missing: `tidings topology apply` makes it"),
        (around(PAUSE), {"scheduled_at": NOW + timedelta(hours=2)}, "due in 2h"),
        (around(), {"state": State.SCHEDULED, "dispatch_at": NOW + timedelta(hours=3)}, "due in 3h"),
        (around(PAUSE), {"state": State.SENT}, ""),
    ],
)  # fmt: skip
def test_queued_mail_says_why_it_waits(
    surroundings: WaitContext, fields: dict[str, Any], reason: str
) -> None:
    assert (
        why_it_waits(notification(**{"state": State.QUEUED, **fields}), surroundings, NOW) == reason
    )
