"""The simulation finds the protections that are taken out: a search that finds nothing proves nothing."""

import pytest
from tests.simulation.broken_parts import BROKEN
from tests.simulation.run import simulate

WITHIN = 400
"""Seeds."""


@pytest.mark.parametrize("what", BROKEN)
def test_a_protection_that_is_taken_out_is_missed(what: str) -> None:
    broken = BROKEN[what]
    for seed in range(broken.first, broken.first + WITHIN):
        report = simulate(seed, broken.parts)
        if any(broken.missed in violation for violation in report.violations):
            assert not simulate(seed).violations, "with all protections nothing is wrong"
            return
    pytest.fail(f"{WITHIN} seeds without a violation")
