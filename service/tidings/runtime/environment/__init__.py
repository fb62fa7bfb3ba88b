"""Reads settings from environment variables and files: their formats, and the errors for wrong values."""
