"""Notifications from their claim to their end, and searches for them."""
