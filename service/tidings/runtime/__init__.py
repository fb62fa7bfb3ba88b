"""Basics of every process: background tasks, clock, backoff, deadlines, TLS, secrets in files, shutdown."""
