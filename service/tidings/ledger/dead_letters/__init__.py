"""Remembers dead letters: stored, found, closed, edited, replayed."""
