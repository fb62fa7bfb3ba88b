"""`tidings who` does not say that nothing was sent before all of it was looked through."""

from datetime import UTC, datetime

import pytest

from tidings.cli.who import show
from tidings.operations.people import PersonView


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (False, "Nothing was sent to this person in the last 30 days."),
        (True, "Nothing was found in the time that this has. There may be older ones"),
    ],
)
def test_what_was_not_found_may_be_older(
    more: bool, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show(PersonView(datetime.now(UTC), (), (), None, more))
    assert words in " ".join(capsys.readouterr().err.split())
