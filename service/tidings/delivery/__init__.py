"""Decides what becomes of a notification: pure values and functions, no I/O."""
