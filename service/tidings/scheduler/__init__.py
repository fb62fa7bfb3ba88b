"""The scheduler role: publishes scheduled notifications when due, requeues lost ones, maintains the ledger."""

from tidings.scheduler.scheduler import Scheduler

__all__ = ["Scheduler"]
