"""Remembers notifications from their claim to their end, and finds them again."""
