"""Text messages through Twilio."""

from tidings.channels.sms.spec import SPEC

__all__ = ["SPEC"]
