"""Networking for channels: DNS look-ups, and an HTTP client that bounds responses."""
