"""Half of the schedules: two files, so that two cores share them."""

import pytest
from tests.simulation.seeds import CHUNKS, wrong


@pytest.mark.parametrize("number", range(CHUNKS // 2))
def test_nothing_is_lost_or_sent_unawares_whatever_goes_wrong(number: int) -> None:
    assert not (violations := wrong(number)), f"\n{violations}"
