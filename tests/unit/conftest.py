"""Hypothesis on machines that do other things besides: no time limit for one example."""

from hypothesis import settings

settings.register_profile("tidings", deadline=None)
settings.load_profile("tidings")
