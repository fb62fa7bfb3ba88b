"""Delivers: takes messages from the lanes of its channels and sees each through to its settlement."""

from tidings.worker.worker import Worker

__all__ = ["Worker"]
