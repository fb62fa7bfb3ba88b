"""Publishes what has come due."""

from tidings.scheduler.scheduler import Scheduler

__all__ = ["Scheduler"]
