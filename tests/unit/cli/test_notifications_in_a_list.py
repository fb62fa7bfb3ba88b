"""`tidings list` keeps id, state, channel, recipient and time at any width, whatever the reasons."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from tidings.cli.listing import table
from tidings.cli.terminal import SafeConsole
from tidings.delivery.states import State
from tidings.ledger.notifications.details import NotificationSummary
from tidings.operations.notifications import ListedView

NOW = datetime(2026, 11, 22, 18, 30, tzinfo=UTC)
LONG = (
    "the relay refuses the recipient (550 5.1.1 No such mailbox here; see https://example.com/why)"
)


def summary(number: int = 7, **fields: Any) -> NotificationSummary:
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
        "failure_message": LONG,
    }
    return NotificationSummary(
        **{**dict.fromkeys(NotificationSummary.__dataclass_fields__), **known, **fields}
    )


def printed(*summaries: NotificationSummary, width: int | None, reveal: bool = False) -> str:
    paper = io.StringIO()
    console = SafeConsole(file=paper)
    if width is not None:
        console.width = width
    listed = [ListedView.of(it, "", reveal=reveal) for it in summaries]
    console.print(table(listed, NOW))
    return paper.getvalue()


@pytest.mark.parametrize("width", [20, 40, 60, 80, 81, 100, 120, 160, 200, None])
def test_what_one_goes_on_with_is_whole_at_any_width_and_any_reason(width: int | None) -> None:
    listed = [
        summary(1),
        summary(2, state=State.SUPPRESSED, channel="whatsapp", recipient="+4915112345678"),
        summary(3, recipient="https://hooks.example.com/T0/B0?key=secret", reason=None),
        summary(4, state=State.SENT),
    ]
    text = printed(*listed, width=width)
    for it in listed:
        assert str(it.id) in text
        assert it.state.value in text
        assert it.channel in text
    assert text.count("59m ago") == 4
    assert "j…@example.com" in text
    assert "https://hooks.example.com/…" in text
    assert "secret" not in text


def test_eighty_columns_hold_a_row_and_its_reason_stands_below() -> None:
    text = printed(summary(1), summary(2, state=State.CANCELLED), width=80).splitlines()
    assert len(text[1]) <= 80
    assert text[0].split() == ["ID", "When", "Channel", "State", "Attempts"]
    assert text[2] == "  To j…@example.com"
    why = " ".join(" ".join(text[3:5]).split())
    assert why == f"Why rejected · 550 5.1.1 · {LONG}"


def test_in_a_file_every_reason_is_whole_and_in_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    text = printed(summary(1), summary(2), width=None).splitlines()
    assert len(text) == 3
    assert all(line.endswith(LONG) for line in text[1:])


def test_a_reason_can_t_begin_a_row_of_its_own() -> None:
    text = printed(summary(1, failure_message="x\n0193a5c4-2c00-7000  SENT"), width=80)
    assert "\\n0193a5c4" in text


def test_what_expired_before_it_was_tried_has_no_tries() -> None:
    late = summary(
        state=State.EXPIRED,
        attempt=1,
        finished_at=NOW,
        reason="expired",
        failure_kind="expired",
        failure_code=None,
        failure_message="not delivered before noon",
    )
    heading, row, *why = printed(late, width=100).splitlines()
    assert row[heading.index("Attempts")] == "0"
    assert "expired before the first attempt · not delivered before noon" in " ".join(why)


@pytest.mark.parametrize("width", [80, 120, None])
def test_a_value_stands_in_the_same_column_from_call_to_call(width: int | None) -> None:
    early = summary(accepted_at=NOW, state=State.SENT, channel="sms", recipient="+4915112345678")
    late = summary(state=State.SUPPRESSED, channel="whatsapp", recipient="+4915112345678")
    first, then = (printed(it, width=width).splitlines()[0].split("Why")[0] for it in (early, late))
    assert first.rstrip() == then.rstrip()
