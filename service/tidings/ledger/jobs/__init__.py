"""Remembers jobs: what each was looked at with, how far it is, and the result of every item."""
