"""A command that did not look at everything says so, and how everything is looked at."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from tidings.cli import audit, edit_report, replay_report, requeue
from tidings.cli.hints import print_unlisted_dead_letters
from tidings.delivery.outcome import Reason
from tidings.delivery.states import State
from tidings.ledger.dead_letters.search import Chosen, Selection
from tidings.operations.audit import AuditView
from tidings.operations.dead_letters.dry_run import ReplayDryRunTotals
from tidings.operations.dead_letters.edits import EditView
from tidings.operations.dead_letters.replays import ReplayDryRun
from tidings.operations.requeues import RequeueView

DEAD_LETTERS = tuple(Chosen(UUID(int=n), 1) for n in range(1_000))
REACHED = datetime(2026, 11, 28, 12, tzinfo=UTC)


def _words(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(" ".join(capsys.readouterr()).split())


def test_of_a_replay(capsys: pytest.CaptureFixture[str]) -> None:
    selection = Selection(DEAD_LETTERS, 0, 0)
    done = ReplayDryRunTotals(replayed=198, checked=200)
    replay_report.show_dry_run(ReplayDryRun.of(done, selection), as_json=False)
    text = _words(capsys)
    assert "1,000 dead letters selected. Of the oldest 200 checked, 198 would be" in text
    assert "`--full-scan` checks all" in text
    done.checked = 1_000
    replay_report.show_dry_run(ReplayDryRun.of(done, selection), as_json=False)
    assert "198 dead letters would be replayed." in _words(capsys)


def test_of_an_edit(capsys: pytest.CaptureFixture[str]) -> None:
    done = EditView(1_000, new=[UUID(int=1)] * 200, cut_short=True, dry_run=True)
    edit_report.show_edits(done)
    assert "800 not checked: use `--full-scan`" in _words(capsys)
    assert done.as_data()["not_checked"] == 800


def test_of_a_requeue(capsys: pytest.CaptureFixture[str]) -> None:
    requeue._print_result(RequeueView((), {}, REACHED, dry_run=True))
    text = _words(capsys)
    assert "since 2026-11-28 12:00:00.000 +00:00. `--full-scan` searches all" in text


def test_of_verifying(capsys: pytest.CaptureFixture[str]) -> None:
    findings = AuditView({State.SENT: 3}, None, None, (), searched_since=REACHED)
    audit._print_result(findings)
    text = _words(capsys)
    assert "holds for everything accepted since 2026-11-28 12:00:00.000 +00:00" in text
    assert "`--full-scan`" in text


@pytest.mark.parametrize(
    ("count", "text"),
    [(1, "1 malformed dead letter: "), (1_003, "1,003 malformed dead letters or more: ")],
)
def test_dead_letters_that_were_counted_up_to_a_bound_may_be_more(
    count: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    print_unlisted_dead_letters({Reason.MALFORMED: count})
    assert text in _words(capsys)
