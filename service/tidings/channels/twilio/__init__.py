"""Twilio's API, shared by the channels that use it."""
