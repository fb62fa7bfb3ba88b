"""Dead letters fit the terminal: what one goes on with is never cut, nor why they were dead-lettered."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from uuid import UUID

import pytest

from tidings.cli.dead_letter_views import dead_letters_table, groups_table
from tidings.cli.rows import Rows
from tidings.cli.terminal import SafeConsole
from tidings.delivery.outcome import Reason
from tidings.ledger.dead_letters.groups import DeadLetterGroup
from tidings.ledger.dead_letters.rows import StoredDeadLetter
from tidings.ledger.dead_letters.trends import Trend
from tidings.operations.dead_letters.lookup import DeadLetterGroupView
from tidings.operations.dead_letters.views import DeadLetterView

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ID = UUID("1600b796-ea13-5b3a-aeb8-28fe46668aa3")
GROUP = "3e6c7556e063"
WHY = "the relay refuses the recipient (550 5.1.1 No such mailbox)"
LONGEST = ("outcome_unknown", "whatsapp", "whatsapp.urgent")


def dead_letter() -> DeadLetterView:
    row = dict.fromkeys(StoredDeadLetter.__slots__)
    del row["failure"]
    given = {
        "id": ID,
        "state": "open",
        "reason": "outcome_unknown",
        "kind": "rejected",
        "code": "550 5.1.1",
        "message": WHY,
        "provider": "smtp:relay",
        "fingerprint": GROUP,
        "channel": "whatsapp",
        "priority": "urgent",
        "routing_key": "whatsapp.urgent",
        "recipient": "somebody.with.a.long.name@mail.example.com",
        "dead_lettered_at": NOW - timedelta(hours=23),
        "attempts": 7,
        "headers": "{}",
        "properties": "{}",
    }
    return DeadLetterView.of(StoredDeadLetter.of({**row, **given}), reveal=False)


def group() -> DeadLetterGroup:
    return DeadLetterGroup(
        fingerprint=GROUP,
        dead_letters=12_345,
        channel="whatsapp",
        reason=Reason.OUTCOME_UNKNOWN,
        kind="rejected",
        code="550 5.1.1",
        message=WHY,
        first_at=NOW - timedelta(hours=23),
        last_at=NOW - timedelta(minutes=59),
        example=ID,
        trend=Trend(NOW - timedelta(hours=24), 3_600, (0,) * 20 + (1, 5, 40, 12_300)),
    )


def printed(table: Rows, width: int) -> str:
    paper = StringIO()
    console = SafeConsole(file=paper)
    console.width = width
    console.print(table)
    return paper.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 149, 150, 200])
def test_what_one_replays_by_is_whole_at_any_width(width: int) -> None:
    dead_letters = printed(dead_letters_table([dead_letter()], NOW), width)
    groups = printed(groups_table((DeadLetterGroupView(group()),), NOW), width)
    assert str(ID) in dead_letters
    assert GROUP in dead_letters
    assert GROUP in groups
    assert "12,345" in groups
    for word in ("23h ago", "whatsapp.urgent", "outcome_unknown"):
        assert word in dead_letters


@pytest.mark.parametrize("width", [40, 60, 80, 150, 200])
def test_a_terminal_cuts_nothing_of_a_dead_letter(width: int) -> None:
    dead_letters = " ".join(printed(dead_letters_table([dead_letter()], NOW), width).split())
    assert [
        word for word in (*LONGEST, "23h ago", f"550 5.1.1 {WHY}") if word not in dead_letters
    ] == []


def test_why_a_group_was_dead_lettered_has_the_width_of_the_terminal() -> None:
    lines = printed(groups_table((DeadLetterGroupView(group()),) * 17, NOW), 80).splitlines()
    assert lines[2] == f"  Why 550 5.1.1 {WHY}"
    assert len(lines) == 1 + 17 * 2
