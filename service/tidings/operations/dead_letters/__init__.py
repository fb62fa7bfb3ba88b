"""Edits dead letters, and sends them on their way again."""
