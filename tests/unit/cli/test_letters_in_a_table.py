"""Dead letters fit the terminal: what one goes on with is never cut, reasons give way."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from uuid import UUID

import pytest
from rich.console import Console
from rich.table import Table

from tidings.cli.letter_views import groups_table, letters_table
from tidings.delivery.outcome import Reason
from tidings.ledger.letter_rows import StoredLetter
from tidings.ledger.letter_search import Group

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ID = UUID("1600b796-ea13-5b3a-aeb8-28fe46668aa3")
GROUP = "3e6c7556e063"
WHY = "the relay refuses the recipient (550 5.1.1 No such mailbox)"
LONGEST = ("outcome_unknown", "whatsapp", "whatsapp.urgent")


def letter() -> StoredLetter:
    row = dict.fromkeys(StoredLetter.__slots__)
    del row["failure"]
    told = {
        "id": ID,
        "state": "buried",
        "reason": "outcome_unknown",
        "kind": "rejected",
        "code": "550 5.1.1",
        "message": WHY,
        "provider": "smtp:relay",
        "fingerprint": GROUP,
        "channel": "whatsapp",
        "priority": "urgent",
        "recipient": "somebody.with.a.long.name@mail.example.com",
        "buried_at": NOW - timedelta(hours=23),
        "attempts": 7,
        "headers": "{}",
    }
    return StoredLetter.of({**row, **told})


def group() -> Group:
    return Group(
        fingerprint=GROUP,
        letters=12_345,
        channel="whatsapp",
        reason=Reason.OUTCOME_UNKNOWN,
        kind="rejected",
        code="550 5.1.1",
        message=WHY,
        first_at=NOW - timedelta(hours=23),
        last_at=NOW - timedelta(minutes=59),
        example=ID,
    )


def printed(table: Table, width: int) -> str:
    paper = StringIO()
    Console(file=paper, width=width).print(table)
    return paper.getvalue()


@pytest.mark.parametrize("width", [80, 149, 150, 200])
def test_what_one_replays_by_is_whole_at_any_width(width: int) -> None:
    letters = printed(letters_table([letter()], NOW, reveal=False, width=width), width)
    groups = printed(groups_table([group()], NOW, width=width), width)
    assert str(ID)[:8] in letters
    assert GROUP in letters
    assert GROUP in groups
    assert "12,345" in groups


@pytest.mark.parametrize("width", [150, 200])
def test_a_wide_terminal_shows_whole_ids_and_cuts_nothing_but_reasons(width: int) -> None:
    letters = printed(letters_table([letter()], NOW, reveal=False, width=width), width)
    assert str(ID) in letters
    assert [word for word in (*LONGEST, "23h ago", "550 5") if word not in letters] == []


def test_a_group_s_whole_reason_is_told_however_narrow_it_is() -> None:
    groups = printed(groups_table([group()], NOW, width=80), 80)
    assert "mailbox)" in groups
