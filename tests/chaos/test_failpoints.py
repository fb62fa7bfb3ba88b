"""Where a worker is told to end itself: read, refused, counted."""

import pytest
from tests.chaos.failpoints import STEPS, Failpoints


@pytest.mark.parametrize(
    "text", ["after-lunch=kill", "after-send", "after-send=pause", "after-send=kill@0", "=kill"]
)
def test_what_is_no_failpoint_is_refused_with_the_names_there_are(text: str) -> None:
    with pytest.raises(ValueError, match=f"{text}.*{', '.join(STEPS)}"):
        Failpoints.parse(text)


def test_other_steps_and_earlier_visits_pass() -> None:
    failpoints = Failpoints.parse("after-send=kill@1000")
    for _ in range(999):
        failpoints.reach("after-send")
        failpoints.reach("before-ack")
