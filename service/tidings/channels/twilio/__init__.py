"""Speaks Twilio's API, for every channel that goes through it."""
