"""WhatsApp messages through Twilio."""

from tidings.channels.whatsapp.spec import SPEC

__all__ = ["SPEC"]
