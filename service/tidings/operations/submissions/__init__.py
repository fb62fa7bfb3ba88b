"""Accepts notifications over HTTP: reads them, stores and publishes them, and answers."""
