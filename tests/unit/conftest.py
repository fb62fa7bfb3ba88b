"""Hypothesis on machines that do other things besides: no time limit for one example.

With `CI` set it draws the same examples each time: what fails there fails again on a desk.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "tidings",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("tidings")
