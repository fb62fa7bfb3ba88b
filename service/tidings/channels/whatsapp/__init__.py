"""WhatsApp messages through Twilio."""
