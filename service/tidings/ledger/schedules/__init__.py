"""Schedules: stored, listed, changed and run."""
