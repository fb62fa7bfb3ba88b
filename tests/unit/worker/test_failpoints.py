"""Where a process is told to end itself: read, refused, counted."""

import pytest

from tidings.delivery.errors import ConfigurationError
from tidings.worker.failpoints import STEPS, Failpoints


def test_nothing_written_means_no_failpoints_at_all() -> None:
    assert Failpoints.parse("") is None
    assert Failpoints.parse("  ") is None


@pytest.mark.parametrize("step", STEPS)
def test_every_step_may_be_named_with_and_without_a_visit(step: str) -> None:
    assert Failpoints.parse(f"{step}=kill") is not None
    assert Failpoints.parse(f"{step}=kill@17, before-claim=kill") is not None


@pytest.mark.parametrize(
    "text", ["after-lunch=kill", "after-send", "after-send=pause", "after-send=kill@0", "=kill"]
)
def test_what_is_no_failpoint_is_refused_with_the_names_there_are(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"TIDINGS_FAILPOINTS.*before-claim"):
        Failpoints.parse(text)


def test_other_steps_and_earlier_visits_pass() -> None:
    failpoints = Failpoints.parse("after-send=kill@1000")
    assert failpoints is not None
    for _ in range(999):
        failpoints.reach("after-send")
        failpoints.reach("before-ack")
