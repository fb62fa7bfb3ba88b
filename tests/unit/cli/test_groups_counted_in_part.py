"""`tidings dead groups` and `tidings overview` say which dead letters they did not count, and how to count them."""

from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from tidings.cli import dead, overview
from tidings.cli.main import app
from tidings.operations.dead_letters.lookup import DeadLetterGroupPage
from tidings.operations.overview import OverviewView
from tidings.operations.statistics import StatisticsView

SINCE = datetime(2026, 11, 29, 17, 31, 2, 400_001, UTC)


@pytest.mark.parametrize("searched_since", [SINCE, None])
def test_an_empty_list_of_groups_says_whether_all_were_looked_at(
    monkeypatch: pytest.MonkeyPatch, searched_since: datetime | None
) -> None:
    monkeypatch.setattr(dead, "ask", lambda _: DeadLetterGroupPage((), None, searched_since))
    shown = CliRunner().invoke(app, ["dead", "groups", "--state", "discarded"])
    text = " ".join(shown.stderr.split())
    assert shown.exit_code == 0
    assert ("--until 2026-11-29T17:31:02.400001+00:00 counts older ones" in text) is bool(
        searched_since
    )
    assert ("No matches." in text) is (searched_since is None), text


@pytest.mark.parametrize("searched_since", [SINCE, None])
def test_the_overview_says_which_tests_it_did_not_count(
    monkeypatch: pytest.MonkeyPatch, searched_since: datetime | None
) -> None:
    numbers = StatisticsView(None, None, None, {}, [], ())
    view = OverviewView(numbers, [], None, {}, [], SINCE, searched_since)
    monkeypatch.setattr(overview, "ask", lambda _: view)
    shown = CliRunner().invoke(app, ["overview", "--test"])
    text = " ".join(shown.stderr.split())
    older = "`tidings dead groups --test --until 2026-11-29T17:31:02.400001+00:00` counts older"
    assert (shown.exit_code, older in text) == (0, bool(searched_since)), text
    assert view.as_data()["searched_since"] == searched_since
