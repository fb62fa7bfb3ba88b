"""Fakes that ship with the service, for its own tests and for those of services that embed it."""

from tidings.testing.channel import ScriptedChannel

__all__ = ["ScriptedChannel"]
