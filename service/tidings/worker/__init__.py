"""The worker role: consumes the lanes of its channels, delivers each message and settles it."""

from tidings.worker.worker import Worker

__all__ = ["Worker"]
